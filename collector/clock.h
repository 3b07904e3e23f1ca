#pragma once

#include "core/units.h"

namespace fleetledger {

/// Reads the time. Tests hand in their own; nothing else in the collector reads a clock.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall() const = 0;
  [[nodiscard]] virtual MonotonicTime monotonic() const = 0;
};

/// The host's clocks. Any thread.
[[nodiscard]] const Clock& system_clock();

/// Now, on the time line of process starts. Counts while the machine sleeps. Any thread.
[[nodiscard]] BootTime boot_now();

}  // namespace fleetledger
