#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fleetledger::fleet {

/// What a load does; its parameter is the CPU it aims at in percent of one core, unless said otherwise.
enum class LoadKind {
  idle,        ///< waits
  steady,      ///< one process, evenly busy
  flat,        ///< one short tool child (50-200 ms of CPU) after the other, each waited for
  deep,        ///< likewise, but each a chain of three to five shells, every one waiting for the next
  unwaited,    ///< short children with SIGCHLD ignored: the kernel reaps them, their time reaches nobody
  reparented,  ///< short children by a double fork: pid 1 (or a subreaper) inherits and reaps them
  detached,    ///< a child that calls setsid and outlives its shell, which ends after 8 s; a new one after 20-40 s
  leaker,      ///< memory that grows to a cap; the parameter is MiB per second
  long_child,  ///< "long": one child, busy until the end
};

struct LoadSpec {
  LoadKind kind = LoadKind::idle;
  double parameter = 0;
};

/// "flat", "steady:30", "leaker:4": a kind with its parameter, or with its default.
Result<LoadSpec> parse_load(std::string_view text);
/// A list of them, separated by commas.
Result<std::vector<LoadSpec>> parse_loads(std::string_view text);

/// "idle", "steady", ..., "long".
std::string_view to_string(LoadKind kind);
/// The names of all kinds, for help texts.
std::vector<std::string_view> load_kinds();

struct LoadOptions {
  LoadSpec spec;
  std::uint64_t seed = 1;                      ///< of the sizes of its bursts
  std::string truth;                           ///< writes <truth>.jsonl and <truth>.account (bench/fleet/truth.h)
  std::optional<Micros> cpu_limit;             ///< ends once the load has used this much
  std::chrono::milliseconds row_interval{50};  ///< between rows of truth
  Bytes leak_cap{64 << 20};
};

/// Runs a load in this process, which must have one thread, until its limit or until SIGTERM, SIGINT or SIGHUP; ends
/// its children before it returns. Blocks these signals and may ignore SIGCHLD, so the process is good for nothing
/// else.
Result<void> run_load(const LoadOptions& options);

}  // namespace fleetledger::fleet
