#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "core/process.h"
#include "core/result.h"

namespace fleetledger::fleet {

// Every process of a fleet carries the fleet's root in its environment and hands it down, however it detaches itself.
// That is how all of them are found and ended, and how no other process ever is.

/// The whole environment of a fleet's processes: the mark, and nothing of the caller's but PATH. TMUX is not in it, so
/// that no tmux client can reach the caller's own server.
std::vector<std::string> marked_environment(const std::string& root);

/// The processes of this user that carry the mark of `root`, without this one and without zombies.
std::vector<Pid> marked_processes(const std::string& root);

/// Ends them all: SIGTERM, two seconds for the loads to write their last rows, SIGKILL. tmux goes when its sessions
/// have ended. Fails if some are still there after ten seconds.
Result<void> end_marked(const std::string& root);

/// Starts a program with exactly this environment, no standard streams, no signal blocked. argv[0] is looked up in
/// PATH. The child is killed when this process ends, unless `outlives`: then it leads a session of its own.
Result<pid_t> spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
                    bool outlives = false);

/// Runs a program to its end and returns what it wrote to its standard output; fails if it does.
Result<std::string> output_of(const std::vector<std::string>& argv, const std::vector<std::string>& environment);

}  // namespace fleetledger::fleet
