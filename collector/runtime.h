#pragma once

#include <functional>

#include "core/units.h"

namespace fleetledger {

/// What the loop does for the parts that are tested without one. All callbacks come on the loop's thread.
struct Runtime {
  /// Runs `work` on another thread, then `done`.
  std::function<void(std::function<void()> work, std::function<void()> done)> in_pool;
  /// Calls `then` once after `delay`, unless the program stops before; without a delay in the loop's next turn, when
  /// all that waits for this one has been heard.
  std::function<void(Micros delay, std::function<void()> then)> after;
};

}  // namespace fleetledger
