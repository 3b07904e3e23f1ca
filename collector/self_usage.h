#pragma once

#include "core/units.h"

namespace fleetledger {

/// What this program itself costs, since it started.
struct SelfUsage {
  CpuTotal own;
  CpuTotal children;  ///< the ps and tmux that it has waited for
  Bytes resident;     ///< now; 0 where it cannot be told
};

/// From getrusage(2) and, for resident memory, /proc/self/statm. Any thread.
[[nodiscard]] SelfUsage read_self_usage();

}  // namespace fleetledger
