#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "bench/fleet/fleet_files.h"
#include "core/result.h"

namespace fleetledger::fleet {

struct RunOptions {
  std::optional<std::chrono::milliseconds> duration;  ///< absent: until SIGTERM, SIGINT or SIGHUP
  std::chrono::milliseconds heartbeat{10'000};        ///< between writings of the registry
  bool keep = false;                                  ///< leave the files for whoever wants to read them
  std::string program;                                ///< fleetledger-fleet: what servers and panes run
};

/// Makes a fleet, calls `ready` once every load runs and fleet.json is there, keeps it going, and ends it: all its
/// processes, and, unless told to keep them, its files. On failure nothing is left either. If this process is killed,
/// a guard that it started ends the fleet's processes. One thread; blocks the stop signals of the process.
Result<void> run_fleet(const FleetOptions& fleet, const RunOptions& run,
                       const std::function<void(const Fleet&)>& ready);

/// Ends a fleet from outside: asks its generator if it still runs, else ends what that left, and removes the files
/// unless `keep`. A folder that holds no fleet is refused.
Result<void> stop_fleet(const std::string& root, bool keep);

/// The guard: sleeps until the generator of `root` is gone, then ends what is left of its fleet.
Result<void> guard_fleet(const std::string& root);

/// Sessions without tmux: runs the loads of <root>/sessions as children and writes <root>/panes once all run, in the
/// format of `list-panes` with this process in the server's place. Ends when all have ended; hands SIGTERM on to them.
Result<void> hold_sessions(const std::string& root);

}  // namespace fleetledger::fleet
