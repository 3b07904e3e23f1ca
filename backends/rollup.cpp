#include "backends/rollup.h"

#include <algorithm>
#include <cmath>

#include "backends/clean.h"

namespace fleetledger {
namespace {

Micros add_up(Micros sum, Micros more) { return std::min(sum, Micros::max() - more) + more; }

/// What is outside cannot be meant, and cannot be counted with.
WallTime sane(WallTime time) {
  constexpr std::chrono::milliseconds kMost{kMostAmount};
  return std::clamp(time, WallTime{-kMost}, WallTime{kMost});
}

template <typename T>
Micros micros(const std::optional<T>& amount) {
  if constexpr (std::is_same_v<T, Usage>) {
    return amount ? amount->micros() : Micros{0};
  } else {
    return amount.value_or(Micros{0});
  }
}

}  // namespace

WallTime hour_of(WallTime time) { return std::chrono::floor<std::chrono::hours>(sane(time)); }

WallTime day_of(WallTime time) { return std::chrono::floor<std::chrono::days>(sane(time)); }

void Tally::add(const Sample& row, Micros guess) {
  const bool alone = rows == 0;
  ++rows;
  cpu_sum += row.cpu_percent;
  cpu_min = alone ? row.cpu_percent : std::min(cpu_min, row.cpu_percent);
  cpu_max = alone ? row.cpu_percent : std::max(cpu_max, row.cpu_percent);
  resident_sum += static_cast<double>(row.resident.value);
  resident_min = alone ? row.resident : std::min(resident_min, row.resident);
  resident_max = alone ? row.resident : std::max(resident_max, row.resident);
  if (row.interval) {
    interval = add_up(micros(interval), *row.interval);
  } else {
    estimated.interval = add_up(estimated.interval, guess);
  }
  if (row.usage) {
    usage = Usage{add_up(micros(usage), row.usage->micros())};
  } else {
    constexpr double kWholeCore = 100;
    const double used = row.cpu_percent / kWholeCore * static_cast<double>(row.interval.value_or(guess).count());
    const Micros counted{std::llround(std::min(used, static_cast<double>(kMostAmount)))};
    estimated.usage = Usage{add_up(estimated.usage.micros(), counted)};
  }
  first = alone ? row.ts : std::min(first, row.ts);
  if (alone || row.ts >= newest.ts) {
    newest = row;
  }
}

void Tally::add(const Tally& more) {
  if (rows == 0 || more.rows == 0) {
    if (rows == 0) {
      *this = more;
    }
    return;
  }
  rows += more.rows;
  cpu_sum += more.cpu_sum;
  cpu_min = std::min(cpu_min, more.cpu_min);
  cpu_max = std::max(cpu_max, more.cpu_max);
  resident_sum += more.resident_sum;
  resident_min = std::min(resident_min, more.resident_min);
  resident_max = std::max(resident_max, more.resident_max);
  if (more.usage) {
    usage = Usage{add_up(micros(usage), micros(more.usage))};
  }
  if (more.interval) {
    interval = add_up(micros(interval), micros(more.interval));
  }
  estimated.usage = Usage{add_up(estimated.usage.micros(), more.estimated.usage.micros())};
  estimated.interval = add_up(estimated.interval, more.estimated.interval);
  first = std::min(first, more.first);
  if (more.newest.ts >= newest.ts) {
    newest = more.newest;
  }
}

std::optional<double> Tally::time_weighted() const {
  const Micros length = add_up(micros(interval), estimated.interval);
  if (length <= Micros{0}) {
    return std::nullopt;
  }
  return cpu_percent(Usage{add_up(micros(usage), estimated.usage.micros())}, length);
}

Micros guess_interval(const std::optional<WallTime>& before, WallTime ts, Micros most) {
  if (!before || most <= Micros{0}) {
    return Micros{0};
  }
  const auto since = std::max(sane(ts) - sane(*before), std::chrono::milliseconds{0});
  return since >= std::chrono::ceil<std::chrono::milliseconds>(most) ? most : Micros{since};
}

}  // namespace fleetledger
