#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/clock.h"
#include "collector/discovery/declarations.h"
#include "collector/discovery/discovery.h"
#include "collector/events/event_feed.h"
#include "collector/explanation.h"
#include "collector/fleet_counters.h"
#include "collector/heaps.h"
#include "collector/meter.h"
#include "collector/runtime.h"
#include "collector/self_usage.h"
#include "collector/snapshot.h"
#include "collector/sources/environment_source.h"
#include "collector/sources/pane_source.h"
#include "collector/sources/process_source.h"
#include "collector/store_lane.h"
#include "collector/tick_report.h"

namespace fleetledger {

/// What the collector works with. All of it must outlive the collector.
struct CollectorParts {
  ProcessSource& processes;
  PaneSource& panes;
  /// Read in the pool; nullptr: what processes say of themselves is not asked.
  std::shared_ptr<EnvironmentSource> environments = nullptr;
  /// Reads the agents' files on another thread and hands over what they say; one call at a time.
  /// Depth::told is for those who know what changed: where nothing is watched, look deeper.
  std::function<void(Depth, std::function<void(std::shared_ptr<const Fleet>)>)> read_fleet;
  StoreLane* ledgers = nullptr;  ///< nullptr: nothing is written
  const Clock& clock;
  Runtime runtime;
  /// Asks an agent's server, in the pool; empty: none is asked.
  Heaps::Ask ask_heap;
  /// Where rate-limit events are read, to be written to `ledgers`; nothing: none are.
  std::optional<EventSources> events = std::nullopt;
  /// Called before and after every tick; either may be empty.
  std::function<void()> begun;
  std::function<void(const TickReport&)> published;
};

struct CollectorOptions {
  Scope scope = Scope::tree;
  /// One period for all agents, whatever their files say, and a tick each even if none is metered.
  std::optional<Micros> interval;
  bool heap = true;                  ///< ask for heaps, of agents whose rows are written
  std::size_t metrics_sessions = 0;  ///< how many sessions have counters of their own; for good
};

/// Metering, tick by tick: look (panes, processes), charge everybody, append for the agents that are due, publish.
/// Fails open: whatever goes wrong in a tick is counted and said, and the next tick comes. Loop thread only.
class Collector {
 public:
  Collector(CollectorParts parts, CollectorOptions options);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  /// Begins a tick. While one is under way no other is begun.
  void tick();

  /// Reads the agents' files outside a tick; if a session began that was not there, looks at once.
  void reread_files(Depth depth);

  /// The log of sentinels in this folder has changed: what is new in it is read soon.
  void log_changed(const std::string& folder);
  /// No more events are read: before the ledgers' last writes.
  void stop_events();

  /// When the next tick is to begin; nothing while no agent is metered.
  [[nodiscard]] std::optional<MonotonicTime> next_deadline() const;

  void set_options(const CollectorOptions& options);

  [[nodiscard]] bool ticking() const;
  /// Whether files, environments or events are being read in the pool.
  [[nodiscard]] bool reading() const;
  [[nodiscard]] const std::shared_ptr<const Fleet>& fleet() const;
  [[nodiscard]] const Meter& meter() const;
  [[nodiscard]] const Declarations& declarations() const;
  [[nodiscard]] const CollectorCounters& counters() const;
  [[nodiscard]] const FleetCounters& fleet_counters() const;
  [[nodiscard]] const SelfUsage& self_usage() const;  ///< at the end of the last tick
  [[nodiscard]] AgentStatus status_of(const Agent& agent) const;
  [[nodiscard]] const TickReport& last_report() const;
  /// Why a process was charged where it was at the last good look; nothing if it was not there.
  [[nodiscard]] std::optional<Explanation> explain(Pid pid) const;
  /// What the last good look said; an empty one before that. Replaced, never changed.
  [[nodiscard]] const std::shared_ptr<const Snapshot>& snapshot() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fleetledger
