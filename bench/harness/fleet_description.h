#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "core/result.h"

namespace fleetledger::bench {

/// What <root>/fleet.json says of a fleet that runs.
struct DescribedSession {
  std::string id;
  std::string tmux_session;
  std::string load;
  std::string truth;  ///< without ".jsonl" and ".account"
  pid_t pane = 0;
};
struct DescribedAgent {
  std::string name;
  pid_t server = 0;
  std::string server_truth;
  std::vector<DescribedSession> sessions;
};
[[nodiscard]] Result<std::vector<DescribedAgent>> read_fleet(const std::string& root);

}  // namespace fleetledger::bench
