#pragma once

#include <cstddef>
#include <optional>
#include <sys/types.h>

#include "core/units.h"

namespace fleetledger::bench {

// What the kernel says of another process of this user; nothing if it is gone.

/// CPU milliseconds since its start, of all its threads, also of those that have ended; to the microsecond.
[[nodiscard]] std::optional<double> cpu_ms_of(pid_t pid);

[[nodiscard]] std::optional<Bytes> resident_of(pid_t pid);

/// All that are on the host now.
[[nodiscard]] std::size_t count_processes();

/// CPU milliseconds of the calling thread.
[[nodiscard]] double own_thread_cpu_ms();

}  // namespace fleetledger::bench
