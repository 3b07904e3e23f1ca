#pragma once

#include "collector/api/routes.h"

namespace fleetledger {

// What the routes answer. Each is called for a request that may be answered.

// One agent's ledger: 503 if it is switched off or cannot be used.
[[nodiscard]] Answer answer_summary(const Call& call);
[[nodiscard]] Answer answer_samples(const Call& call);
[[nodiscard]] Answer answer_rate_limits(const Call& call);
[[nodiscard]] Answer answer_trend(const Call& call);
/// Reads the ledgers of all agents. 404 for an event that there is not.
[[nodiscard]] Answer answer_rate_limit_context(const Call& call);

// What Prometheus scrapes: off the loop, because it is long on a host of many agents.
[[nodiscard]] Answer answer_metrics(const Call& call);

// Agents as they are now.
[[nodiscard]] Answer answer_agent(const Call& call);
[[nodiscard]] Answer answer_agents(const Call& call);
[[nodiscard]] Answer answer_fleet_summary(const Call& call);
[[nodiscard]] Answer answer_fleet_now(const Call& call);

// One process of the host: 400 for what is no pid, 404 if the last look did not see it.
[[nodiscard]] Answer answer_process(const Call& call);

}  // namespace fleetledger
