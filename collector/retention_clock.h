#pragma once

#include <chrono>
#include <optional>

#include "core/units.h"

namespace fleetledger {

/// By which time retention is counted: the wall clock's, but one that was set forward is believed only when it has held
/// for an hour, so that a clock that goes wrong for a while makes nothing too old. One thread.
class RetentionClock {
 public:
  static constexpr std::chrono::hours kHolds{1};
  /// By so much at a time clocks are corrected, and nothing hangs on it.
  static constexpr std::chrono::minutes kSlack{1};

  /// The time now, never later than `wall`. To be asked at each tick: a step is seen when it is asked next.
  [[nodiscard]] WallTime now(WallTime wall, MonotonicTime monotonic);

 private:
  using Ahead = std::chrono::milliseconds;  ///< of the monotonic clock

  struct Step {
    Ahead ahead;
    MonotonicTime since;
  };

  std::optional<Ahead> believed_;
  std::optional<Step> step_;
};

}  // namespace fleetledger
