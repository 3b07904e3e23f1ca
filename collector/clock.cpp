#include "collector/clock.h"

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

}  // namespace fleetledger
