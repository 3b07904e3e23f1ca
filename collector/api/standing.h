#pragma once

#include "collector/api/json_writer.h"
#include "core/agent.h"
#include "core/ledger_store.h"

namespace fleetledger {

/// The value of "samplesAt": where an agent's samples are; null where nothing is known yet.
void write_standing(JsonWriter& json, const Agent& agent, const LedgerStanding* standing, WallTime now);

}  // namespace fleetledger
