#include "collector/clock.h"

#include <time.h>

namespace fleetledger {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime wall() const override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }
  MonotonicTime monotonic() const override {
    return MonotonicTime{std::chrono::duration_cast<Micros>(std::chrono::steady_clock::now().time_since_epoch())};
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

BootTime boot_now() {
#ifdef __APPLE__
  constexpr auto kBootClock = CLOCK_MONOTONIC;  // counts sleep there
#else
  constexpr auto kBootClock = CLOCK_BOOTTIME;
#endif
  timespec now{};
  ::clock_gettime(kBootClock, &now);
  const auto since_boot = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  return BootTime{std::chrono::duration_cast<Micros>(since_boot)};
}

}  // namespace fleetledger
