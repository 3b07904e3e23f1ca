#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "collector/clock.h"
#include "collector/runtime.h"
#include "core/ledger_store.h"

namespace fleetledger {

/// Takes ticks to their ledgers, off the loop. Each agent has its own queue, so that one bad disk or lock delays nobody
/// else: at most one job of an agent is under way; a tick that could not be written stays first in its queue and is
/// tried again; of a full queue the oldest tick is dropped and counted. A job that takes long leaves its slot to
/// others, as long as not too many do; an agent whose job took over a second shares one slot with the others of that
/// kind until a job of its is quick again. Loop thread only.
class StoreLane {
 public:
  static constexpr std::size_t kQueueLength = 10;
  /// Quick jobs at a time. Few: no tick waits for them, and each takes a core from the loop and from the agents.
  static constexpr std::size_t kSlots = 2;
  static constexpr std::size_t kSlotsAtEnd = 4;  ///< likewise while it drains: then there is no time to lose
  static constexpr std::size_t kLate = 6;  ///< slow and hanging jobs at a time that take no slot of the quick ones
  static constexpr std::size_t kMostJobs = kSlotsAtEnd + kLate;
  static constexpr Micros kPassOn = std::chrono::milliseconds{100};  ///< so long a job keeps a slot of the quick ones
  static constexpr Micros kSlow = std::chrono::seconds{1};
  static constexpr Micros kHanging = std::chrono::seconds{3};  ///< then it is said; the job is left to its disk
  static constexpr Micros kFirstRetry = std::chrono::milliseconds{250};
  static constexpr Micros kLastRetry = std::chrono::seconds{10};

  /// How it stands with one agent's ledger. The counts never fall.
  struct Health {
    std::uint64_t written = 0;               ///< ticks
    std::uint64_t rows = 0;                  ///< samples in them
    std::uint64_t dropped = 0;               ///< ticks
    std::uint64_t errors = 0;                ///< attempts that failed
    std::optional<Error> error;              ///< of the last attempt, if that failed or hangs
    std::optional<WallTime> failing_since;   ///< set as long as `error` is
    std::optional<LedgerStanding> standing;  ///< after the last attempt that did not fail
  };
  using Report = std::function<void(const LedgerKey&, const Health&)>;

  /// Told once of what was appended: how its ledger stood when it was written, or nullptr: it was dropped. May not
  /// append by itself.
  using Written = std::function<void(const LedgerStanding*)>;

  /// `report` is called after each attempt, when one hangs, and when an agent has been let go. The store must outlive
  /// every job, this object need not.
  StoreLane(LedgerStore& store, Runtime runtime, const Clock& clock, Report report);
  ~StoreLane();
  StoreLane(const StoreLane&) = delete;
  StoreLane& operator=(const StoreLane&) = delete;

  void append(const LedgerKey& ledger, AgentTick tick, Written written = {});

  /// An agent is gone: what is queued for it is still written, then its handles are let go; of its health the counts
  /// are kept until forget().
  void release(const LedgerKey& ledger);
  void forget(const std::string& agent_id);

  /// nullptr for an agent that nothing was ever written for.
  [[nodiscard]] const Health* health(const std::string& agent_id) const;
  /// The counts, also of a released one; zero where nothing was ever written.
  [[nodiscard]] Health counted(const std::string& agent_id) const;
  [[nodiscard]] std::uint64_t dropped() const;  ///< ticks, of all agents

  /// Agents that something is queued, under way or known of; and those that are gone and counted.
  [[nodiscard]] std::size_t tracked() const;
  [[nodiscard]] std::size_t remembered() const;

  /// Nothing queued and nothing under way.
  [[nodiscard]] bool idle() const;
  /// Tries everything that is queued once more, now; then calls `done`, when the last job has ended. What fails then is
  /// lost and counted as dropped, as is what comes after this and cannot be written at once.
  void drain(std::function<void()> done);

 private:
  struct Agent;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fleetledger
