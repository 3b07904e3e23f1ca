#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/agent_status.h"
#include "collector/commands/setup.h"
#include "collector/sources/pane_source.h"
#include "core/process_table.h"
#include "core/result.h"

namespace fleetledger {

/// One look at the host outside the daemon, by the same sources.
struct Survey {
  Result<ProcessTable> processes;
  Result<std::vector<Pane>> panes;
};

/// Looks once, at processes and then at panes; returns when both have answered, failed or run out of time.
[[nodiscard]] Survey survey_host(const Setup& setup, const Fleet& fleet);

/// What can be told of an agent and its ledger outside the daemon.
struct LedgerSurvey {
  AgentStatus status;
  LedgerStanding standing;
  std::optional<WallTime> newest;  ///< of its rows; nothing: there is none, or they are not read
};

/// Reads, and makes nothing. `unavailable`: see unavailable_agents(). Not for an agent whose disk does not answer.
[[nodiscard]] LedgerSurvey survey_ledger(LedgerStore& store, const Agent& agent, WallTime now,
                                         const std::map<std::string, std::string>& unavailable);

}  // namespace fleetledger
