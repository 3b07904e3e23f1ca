#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/agent.h"
#include "core/rate_limits.h"

namespace fleetledger {

/// Who reads what ran before a rate-limit event.
enum class ContextReader {
  operators,  ///< every agent by name
  agent,      ///< the agent that had the event: its own, and of the others sums without names
};

// Bounds of an answer; beyond them it says how many were left out.
inline constexpr std::size_t kMostContextSources = 500;
inline constexpr std::size_t kMostContextEvents = 200;

/// GET /agents/{id}/rate-limits/{eventId}/context. `agents` are those that were asked about, `whose` among them is the
/// one that had the event. Pure; any thread.
[[nodiscard]] std::string context_json(const RateLimitContext& context, std::span<const Agent> agents,
                                       std::size_t whose, ContextReader reader);

}  // namespace fleetledger
