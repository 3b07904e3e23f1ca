#pragma once

#include <cstddef>

#include "core/charge.h"
#include "core/process_table.h"

namespace fleetledger::bench {

/// Two looks at a host that is not there, and the roots of its agents.
struct TwoLooks {
  ProcessTable before;
  ProcessTable now;
  Roots roots;
};

/// A host of so many processes, half of them agents': an agent for every 50 processes, with a server and four sessions
/// in one tmux server, each session a chain of five. From look to look every process uses some CPU, and one of a
/// hundred ends and another begins. Always the same for the same numbers.
[[nodiscard]] TwoLooks busy_host(std::size_t processes);

}  // namespace fleetledger::bench
