#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "config/agent_config.h"
#include "config/config.h"
#include "core/agent.h"

namespace fleetledger {

/// Periods in agents' own files below this are raised to it.
inline constexpr std::chrono::milliseconds kShortestAgentInterval{5'000};

/// Whether and how an agent is metered, and why.
struct Decision {
  Gate gate;
  AgentSettings settings;
  std::string reason;
  std::vector<std::string> remarks;
};

/// From the operator's word (nullptr: none), then the agent's own config (nullptr: never read), then our defaults.
/// Pure.
[[nodiscard]] Decision decide(const AgentOverride* own, const AgentConfig* config, const AgentSettings& defaults);

}  // namespace fleetledger
