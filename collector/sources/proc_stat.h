#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/process.h"

namespace fleetledger {

/// What we use of one /proc/PID/stat, in the kernel's units: clock ticks and pages.
struct ProcStat {
  Pid pid = 0;
  Pid parent = 0;
  char state = 0;
  ProcessName name;
  std::int64_t own_ticks = 0;     ///< user and system
  std::int64_t reaped_ticks = 0;  ///< those of waited-for children
  std::int64_t start_ticks = 0;   ///< since boot
  std::int64_t resident_pages = 0;
};

/// Reads the line; nothing if it is not whole or not such a line. The name ends at the last ')': it may hold any byte.
/// Pure, no allocation.
[[nodiscard]] std::optional<ProcStat> parse_proc_stat(std::string_view line);

/// So many ticks of the kernel's clock as time.
[[nodiscard]] Micros ticks_to_micros(std::int64_t ticks);

}  // namespace fleetledger
