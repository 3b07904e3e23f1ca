#include "collector/metrics_view.h"

#include <algorithm>

#include "collector/collector.h"

namespace fleetledger {
namespace {

/// In a list by id; nullptr if it is not there.
template <typename Agents>
const typename Agents::value_type* find_agent(const Agents& agents, const std::string& id) {
  const auto at = std::lower_bound(agents.begin(), agents.end(), id,
                                   [](const auto& agent, const auto& wanted) { return agent.identity.id < wanted; });
  return at == agents.end() || at->identity.id != id ? nullptr : &*at;
}

AgentMetrics view_agent(const AgentCounters& counted, const Collector& collector, const StoreLane& ledgers,
                        MonotonicTime now) {
  const auto& id = counted.identity.id;
  AgentMetrics metrics{.counted = counted, .shows_cpu = counted.shows_cpu(now), .ledger = ledgers.counted(id)};
  if (const auto* agent = find_agent(collector.fleet()->agents, id)) {
    metrics.state = collector.status_of(*agent).state;
    metrics.live_sessions = agent->live_sessions.size();
    const auto* seen = find_agent(collector.snapshot()->agents, id);
    if (agent->metered() && seen != nullptr && seen->metered) {
      metrics.roles = seen->roles;
    }
  }
  return metrics;
}

}  // namespace

MetricsView view_metrics(const Collector& collector, const StoreLane& ledgers, MonotonicTime now) {
  const auto& counters = collector.fleet_counters();
  MetricsView view{.most_sessions = counters.most_sessions(),
                   .sessions_left_out = counters.sessions_left_out(),
                   .host_cpu = counters.host(),
                   .host = collector.snapshot()->host,
                   .collector = collector.counters(),
                   .self = collector.self_usage()};
  if (collector.snapshot()->ts != WallTime{}) {
    view.last_look = collector.snapshot()->ts;
  }
  for (const auto& [id, counted] : counters.agents()) {
    if (counted.shows(now)) {
      view.agents.push_back(view_agent(counted, collector, ledgers, now));
    }
  }
  for (const auto& [key, counted] : counters.sessions()) {
    if (!counted.ended || now - *counted.ended < kShownAfterEnd) {
      view.sessions.push_back({key, counted});
    }
  }
  return view;
}

}  // namespace fleetledger
