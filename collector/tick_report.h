#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collector/agent_status.h"
#include "collector/duration_histogram.h"
#include "core/agent.h"
#include "core/result.h"
#include "core/sample.h"

namespace fleetledger {

/// What one tick says of one agent.
struct AgentReport {
  AgentIdentity identity;
  AgentStatus status;
  std::vector<Sample> samples;  ///< what was written, or would have been: empty if the agent was not due
};

/// What one tick did: the value that is published.
struct TickReport {
  std::uint64_t number = 0;  ///< of the last deadline that was answered; 0 is the baseline look
  bool due = false;          ///< a deadline, or the baseline; otherwise a look in between
  WallTime ts{};
  std::optional<Error> failure;     ///< why nothing is known of this tick
  std::size_t processes = 0;        ///< seen on the host
  std::vector<AgentReport> agents;  ///< the metered ones, in the order of their ids
  std::vector<AgentReport> others;  ///< those whose gate is closed
  Usage self;                       ///< our own CPU time since the tick before
  Usage self_children;              ///< that of our ps and tmux
  Bytes self_resident;
  Micros took{};  ///< wall time, from its beginning
};

/// Counted since the program started. None of them falls.
struct CollectorCounters {
  std::uint64_t ticks = 0;
  std::uint64_t skipped_late = 0;     ///< deadlines that passed before a tick could begin, over all agents
  std::uint64_t skipped_running = 0;  ///< those that passed while one looked
  std::uint64_t failed_looks = 0;
  std::uint64_t failed_pane_lists = 0;
  std::uint64_t looks = 0;       ///< asked of the process source
  std::uint64_t pane_lists = 0;  ///< asked of the pane source
  std::uint64_t rows = 0;        ///< handed to ledgers
  DurationHistogram tick_durations{
      std::chrono::milliseconds{5},   std::chrono::milliseconds{10},  std::chrono::milliseconds{25},
      std::chrono::milliseconds{50},  std::chrono::milliseconds{100}, std::chrono::milliseconds{250},
      std::chrono::milliseconds{500}, std::chrono::seconds{1},        std::chrono::milliseconds{2500},
      std::chrono::seconds{5},        std::chrono::seconds{10}};  ///< wall time, one for each of `ticks`
};

}  // namespace fleetledger
