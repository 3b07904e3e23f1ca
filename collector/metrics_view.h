#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "collector/duration_histogram.h"
#include "collector/fleet_counters.h"
#include "collector/self_usage.h"
#include "collector/snapshot.h"
#include "collector/store_lane.h"
#include "collector/tick_report.h"

namespace fleetledger {

class Collector;

/// What /metrics says of one agent.
struct AgentMetrics {
  AgentCounters counted;
  bool shows_cpu = false;
  AgentState state = AgentState::gone;
  std::optional<std::size_t> live_sessions;             ///< nothing: it is gone
  std::optional<std::array<RoleTotals, kRoles>> roles;  ///< at the last look; nothing: it was not metered
  StoreLane::Health ledger;
};

struct SessionMetrics {
  FleetCounters::SessionKey key;
  SessionCounters counted;
};

/// All that /metrics is made from, as values: it can be handed to another thread.
struct MetricsView {
  std::vector<AgentMetrics> agents;  ///< by id; those that have just gone included
  std::vector<SessionMetrics> sessions;
  std::size_t most_sessions = 0;
  std::size_t sessions_left_out = 0;
  HostCounters host_cpu;
  HostNow host;
  CollectorCounters collector;
  DurationHistogram loop_lag{};
  DurationHistogram loop_work{};  ///< CPU time in the same turns
  SelfUsage self;
  WallTime started{};
  std::optional<WallTime> last_look;  ///< nothing: there was none, and nothing is known of the host
  std::string version;
};

/// What the collector and its ledgers know; loop_lag, loop_work, started and version are left to the caller. Loop
/// thread.
[[nodiscard]] MetricsView view_metrics(const Collector& collector, const StoreLane& ledgers, MonotonicTime now);

}  // namespace fleetledger
