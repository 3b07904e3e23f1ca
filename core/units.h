#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace fleetledger {

/// Durations of CPU and of real time are counted in microseconds everywhere.
using Micros = std::chrono::microseconds;

/// A label for people: milliseconds since 1970 UTC. Never subtracted to get an interval, because it can be stepped.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// The clock of intervals. It only names the time line; collector/clock.h reads it.
struct MonotonicClock {
  using duration = Micros;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using MonotonicTime = MonotonicClock::time_point;

/// Time since the host was booted: the time line of process starts. Steps of the wall clock do not move it.
struct BootClock {
  using duration = Micros;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;
};
using BootTime = BootClock::time_point;

/// CPU time spent in an interval. Usages add up; cumulative counters (CpuTotal) do not.
class Usage {
 public:
  constexpr Usage() = default;
  explicit constexpr Usage(Micros value) : value_(value) {}

  [[nodiscard]] constexpr Micros micros() const { return value_; }
  [[nodiscard]] constexpr double seconds() const { return static_cast<double>(value_.count()) / 1e6; }

  constexpr Usage& operator+=(Usage other) { return value_ += other.value_, *this; }
  constexpr Usage& operator-=(Usage other) { return value_ -= other.value_, *this; }
  friend constexpr Usage operator+(Usage left, Usage right) { return left += right; }
  friend constexpr Usage operator-(Usage left, Usage right) { return left -= right; }
  friend constexpr auto operator<=>(const Usage&, const Usage&) = default;

 private:
  Micros value_{0};
};

/// CPU time spent since a process started. The only thing to do with two of them is to take their difference.
class CpuTotal {
 public:
  constexpr CpuTotal() = default;
  explicit constexpr CpuTotal(Micros since_start) : value_(since_start) {}

  [[nodiscard]] constexpr Micros since_start() const { return value_; }

  friend constexpr Usage operator-(CpuTotal later, CpuTotal earlier) { return Usage{later.value_ - earlier.value_}; }
  friend constexpr auto operator<=>(const CpuTotal&, const CpuTotal&) = default;

 private:
  Micros value_{0};
};

/// An amount of memory in bytes.
struct Bytes {
  std::int64_t value = 0;

  constexpr Bytes& operator+=(Bytes other) { return value += other.value, *this; }
  friend constexpr Bytes operator+(Bytes left, Bytes right) { return left += right; }
  friend constexpr auto operator<=>(const Bytes&, const Bytes&) = default;
};

/// 100 x usage / interval: one busy core is 100. The interval is the measured one, above zero.
[[nodiscard]] constexpr double cpu_percent(Usage usage, Micros interval) {
  return 100.0 * static_cast<double>(usage.micros().count()) / static_cast<double>(interval.count());
}

}  // namespace fleetledger
