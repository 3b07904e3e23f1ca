#pragma once

#include "core/agent.h"
#include "core/sample.h"

namespace fleetledger {

/// Events we recorded that are older than this are not kept, and not recorded.
[[nodiscard]] inline WallTime oldest_event(const AgentSettings& settings, WallTime now) {
  return now - settings.event_retention;
}

/// What is written with `tick` prunes the agent's events.
inline void prune_events(AgentTick& tick, const AgentSettings& settings, WallTime now) {
  tick.prune_events_before = oldest_event(settings, now);
  if (settings.upstream_event_retention) {
    tick.prune_upstream_events_before = now - *settings.upstream_event_retention;
  }
}

}  // namespace fleetledger
