#pragma once

#include <string>

#include "collector/api/json_writer.h"
#include "collector/tick_report.h"
#include "core/agent.h"
#include "core/ledger_store.h"

namespace fleetledger {

// What is told of where an agent's samples are and of its own sampler. Pure; any thread.

/// The agent's own sampler is on, and we meter it too.
[[nodiscard]] bool metered_twice(const Agent& agent, const LedgerStanding& standing, WallTime now);

/// The agent's state by its files and by its ledger: yielding where its own sampler keeps us from writing.
[[nodiscard]] AgentStatus status_with(const Agent& agent, const LedgerStanding& standing, WallTime now);

/// What an operator should know, in plain words; empty: nothing.
[[nodiscard]] std::string standing_remark(const Agent& agent, const LedgerStanding& standing, WallTime now);

/// The value of "samplesAt"; null where nothing is known yet.
void write_standing(JsonWriter& json, const Agent& agent, const LedgerStanding* standing, WallTime now);

}  // namespace fleetledger
