#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "collector/api/ledger_json.h"
#include "core/agent.h"
#include "core/rate_limits.h"

namespace fleetledger {

/// The events of an agent's ledger in a window, for people: how many of each kind, how often the breaker opened, the
/// newest ones, and how sessions came out of them.
[[nodiscard]] std::string rate_limits_text(const RateLimitReport& report, const Window& window,
                                           const std::string& agent_name);

/// What ran before an event, for people. `agents` are those that were asked about, `whose` had the event.
[[nodiscard]] std::string context_text(const RateLimitContext& context, std::span<const Agent> agents,
                                       std::size_t whose);

}  // namespace fleetledger
