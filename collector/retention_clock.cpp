#include "collector/retention_clock.h"

namespace fleetledger {

WallTime RetentionClock::now(WallTime wall, MonotonicTime monotonic) {
  const auto running = std::chrono::duration_cast<Ahead>(monotonic.time_since_epoch());
  const auto ahead = wall.time_since_epoch() - running;
  if (!believed_ || ahead <= *believed_ + kSlack) {
    believed_ = ahead;
    step_.reset();
    return wall;
  }
  if (!step_ || std::chrono::abs(ahead - step_->ahead) > kSlack) {
    step_ = {ahead, monotonic};
  }
  if (monotonic - step_->since >= kHolds) {
    believed_ = ahead;
    step_.reset();
    return wall;
  }
  return WallTime(running + *believed_);
}

}  // namespace fleetledger
