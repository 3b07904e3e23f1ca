#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collector/clock.h"
#include "collector/discovery/discovery.h"
#include "collector/events/sentinel_log.h"
#include "collector/runtime.h"
#include "core/ledger_store.h"

namespace fleetledger {

/// Where rate-limit events are read. Both must outlive every job in the pool.
struct EventSources {
  LedgerStore& store;
  std::function<LogReading(const LogQuestion&)> read_log;  ///< called in the pool
  /// Whether changes in this folder of logs are told by log_changed(); empty: none are.
  std::function<bool(const std::string& folder)> is_watched;
};

/// Takes rate-limit events to the agents' ledgers: from the logs of their sentinels, and, where samples lie apart, from
/// the ledgers that their own servers write. Of each agent one piece at a time is read, in the pool, and handed over
/// together with the mark that says how far that is; the next one is read when it is written. What was dropped on its
/// way is read again, from the mark that the ledger has. Agents whose ledger is disabled are left alone. An agent whose
/// disk hangs keeps no other waiting for long, as long as not too many do.
/// Loop thread only.
class EventFeed {
 public:
  static constexpr std::size_t kAtOnce = 2;  ///< agents that are being read
  static constexpr std::size_t kLate = 6;    ///< further ones, whose disk keeps us waiting
  static constexpr std::size_t kMostJobs = kAtOnce + kLate;
  static constexpr Micros kIsLate = std::chrono::seconds{2};
  static constexpr Micros kSettle = std::chrono::milliseconds{50};  ///< after a change
  static constexpr Micros kBetween = std::chrono::seconds{1};       ///< two readings of an agent that is up to date
  static constexpr Micros kCopyAgain = std::chrono::minutes{1};     ///< from an agent's own ledger
  static constexpr Micros kPruneAgain = std::chrono::hours{24};     ///< where no ticks are written
  static constexpr std::chrono::milliseconds kAhead = std::chrono::minutes{5};  ///< a later time is of the future
  /// How much of other lines is read before the place is kept.
  static constexpr std::uint64_t kUnsaved = std::uint64_t{1} << 20U;

  struct Ways {
    /// Takes a tick to an agent's ledger; then says how that stands, or nullptr if it was dropped.
    std::function<void(const LedgerKey&, AgentTick, std::function<void(const LedgerStanding*)>)> hand_over;
    /// Events of a sentinel that the ledger took and did not have before; only id and kind are filled in.
    std::function<void(const AgentIdentity&, const std::vector<RateLimitEvent>&)> recorded;
    std::function<void(const AgentIdentity&, const SkippedLines&)> skipped;
    std::function<WallTime()> retention_now;  ///< RetentionClock's
  };

  EventFeed(EventSources sources, Ways ways, Runtime runtime, const Clock& clock, Uid user);
  ~EventFeed();
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  /// The agents there are now. New ones are read soon.
  void adopt(const Fleet& fleet);
  void log_changed(const std::string& folder);

  /// Now and then: reads the logs that nobody watches, with `all` also the others, in case a change was not told.
  /// `place_of`: where an agent's samples are, by its id; empty: not known.
  void check(bool all, const std::function<std::string(const std::string&)>& place_of);

  /// Nothing is read or handed over any more.
  void close();

  /// Whether a job is in the pool.
  [[nodiscard]] bool reading() const;
  /// Why an agent's events cannot be read; empty: they can.
  [[nodiscard]] std::string problem(const std::string& agent_id) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fleetledger
