#pragma once

#include "core/units.h"

namespace fleetledger {

/// What the kernel counts for the host as a whole.
struct HostReading {
  CpuTotal busy;  ///< user, nice, system and interrupt time of all CPUs since boot
  unsigned cpus = 0;
  Bytes memory_total;
  Bytes memory_available;
};

/// From uv_cpu_info and the memory calls of libuv. All zero where the host does not tell. Any thread.
[[nodiscard]] HostReading read_host();

}  // namespace fleetledger
