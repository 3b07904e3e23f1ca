#pragma once

#include <string>

#include "core/agent.h"
#include "core/ledger_store.h"

// What an agent's files and its ledger say together. Pure; any thread.

namespace fleetledger {

/// An agent's state with what the collector knows besides its files, and why.
struct AgentStatus {
  AgentState state = AgentState::off;
  std::string reason;
};

/// By its files and by its ledger: yielding where its own sampler keeps us from writing.
[[nodiscard]] AgentStatus status_with(const Agent& agent, const LedgerStanding& standing, WallTime now);

/// The agent's own sampler is on, and we meter it too.
[[nodiscard]] bool metered_twice(const Agent& agent, const LedgerStanding& standing, WallTime now);

/// What an operator should know of where its samples are, in plain words; empty: nothing.
[[nodiscard]] std::string standing_remark(const Agent& agent, const LedgerStanding& standing, WallTime now);

}  // namespace fleetledger
