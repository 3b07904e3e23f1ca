#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/agent.h"
#include "core/ledger_queries.h"
#include "core/result.h"
#include "core/sample.h"
#include "core/units.h"

namespace fleetledger {

/// Whose ledger. All but `agent` is for backends that keep ledgers in places; others ignore it.
struct LedgerKey {
  AgentIdentity agent;
  LedgerLocation location = LedgerLocation::automatic;
  std::chrono::milliseconds own_sampler_period{300'000};  ///< see AgentSettings
};

[[nodiscard]] inline LedgerKey ledger_of(const Agent& agent) {
  return {agent.identity, agent.settings.location, agent.settings.own_sampler_period};
}

/// Where an agent's samples are, and whether the agent's own sampler writes some too (a row without an interval is one
/// of its).
struct LedgerStanding {
  std::string place;  ///< for people: "/x/resource-ledger.db", "memory"
  /// Our samples were moved from beside the agent to the central place then, for good, because its sampler was on.
  std::optional<WallTime> central_since;
  std::optional<WallTime> other_sampler;  ///< its newest row beside the agent; nothing: it is off
  bool yielding = false;                  ///< it is on, and therefore we write no samples
  /// With this append samples before this moment went earlier than they should, or, where none are left that could,
  /// rollups: the ledger held more than it may.
  std::optional<WallTime> cut_to{};
  /// Of what this append was to prune there was more than goes at a time: another one that prunes goes on with it.
  bool more_to_prune = false;
  /// Ids of this append's events that the ledger did not have before.
  std::vector<std::string> new_events{};

  friend bool operator==(const LedgerStanding&, const LedgerStanding&) = default;
};

/// Whether a row of an agent's own sampler is young enough to say that it is on: within two of its periods (a clock
/// that was set back makes rows of the future).
[[nodiscard]] inline bool sampler_is_on(const LedgerKey& ledger, WallTime row, WallTime now) {
  return std::chrono::abs(now - row) <= 2 * ledger.own_sampler_period;
}

inline constexpr std::size_t kMostTextBytes = 4096;  ///< longer ones are cut, between two characters

/// A ledger per agent: samples and rate-limit events (upstream's operations with the agent as first argument).
///
/// Threads: any. Writes (append, prune_older_than, release) of one agent must not overlap each other; writes of
/// different agents, and reads of any, may run at the same time.
/// A ledger that does not exist yet reads as an empty one and is not made by reading. A number that cannot be meant
/// reads as 0 or as nothing, whoever wrote it, and a text is cut to kMostTextBytes.
/// Failures: Error::Kind::busy: another process holds it, try again soon; unavailable: it cannot be used until somebody
/// mends it (a link, not a database, no permission, full disk). An append that failed has written nothing.
class LedgerStore {
 public:
  virtual ~LedgerStore() = default;

  /// Writes one tick and prunes, whole or not at all; how the ledger stands then. Every sample has an interval. While
  /// the agent's own sampler is on, the samples go where it does not write: to the central place (automatic), for good,
  /// with all that we had written; or nowhere (agent), until it is off: yielding. A sample whose (source, ts) is taken
  /// gets the next free millisecond; a wall clock that was set back moves nothing else. An event or a
  /// recovery whose id is known is left as it is. Of a long arrear of old rows a part may be left to the next appends.
  /// The time is that of the newest sample, without samples the tick's; with it each hour is rolled up five minutes
  /// after it is over, a few at a time. A sample of an hour that is rolled already is counted in its rollup at once.
  /// What is over `most_bytes` goes by whole hours, the oldest first, a part with each append; beside an agent's own
  /// samples only what we wrote counts and goes.
  virtual Result<LedgerStanding> append(const LedgerKey& ledger, const AgentTick& tick) = 0;

  /// Rows with ts >= since, by source; the hours between from their rollups, which come to the same.
  virtual Result<LedgerSummary> summary(const LedgerKey& ledger, WallTime since) = 0;

  /// Newest first; rows of one ts by source name. Of rows that another program wrote twice for one ts and source, those
  /// that did not fit on a page are not on the next.
  virtual Result<std::vector<Sample>> recent_samples(const LedgerKey& ledger, const SampleQuery& query) = 0;

  /// What the rows of the window come to, by source name; a source without any is not there. At most
  /// `buckets` points a source, however many rows: one pass over the window's, or their rollups. invalid: see
  /// TrendQuery.
  virtual Result<std::vector<SourceTrend>> trend(const LedgerKey& ledger, const TrendQuery& query) = 0;

  virtual Result<std::int64_t> sample_count(const LedgerKey& ledger) = 0;  ///< of the whole ledger

  /// When the newest sample was taken, also if only its hour's rollup is left; nothing: there was none.
  virtual Result<std::optional<WallTime>> newest_sample(const LedgerKey& ledger) = 0;

  /// Deletes the samples of the hours before that of `cutoff`; how many went. Each hour is rolled up once more before,
  /// so that what came late is in its rollup. Events stay. What went before a failure is gone.
  virtual Result<std::int64_t> prune_older_than(const LedgerKey& ledger, WallTime cutoff) = 0;
  /// Events with ts >= since.
  virtual Result<RateLimitReport> rate_limit_report(const LedgerKey& ledger, WallTime since) = 0;

  virtual Result<std::optional<RateLimitEvent>> rate_limit_event(const LedgerKey& ledger, const std::string& id) = 0;

  /// What ran and what was throttled between `since` (not included) and `until`. Its cost grows with that stretch, not
  /// with the ledger. Of a stretch without an end before its beginning: nothing.
  virtual Result<Activity> activity(const LedgerKey& ledger, WallTime since, WallTime until) = 0;

  /// What append() was last given for each source.
  virtual Result<ReadMarks> read_marks(const LedgerKey& ledger) = 0;

  /// Where this is not the ledger that the agent's own server writes its events to: the first of the events that are
  /// there behind `after` (nothing: all). That ledger is only read.
  virtual Result<EventsElsewhere> events_elsewhere(const LedgerKey& ledger, const std::optional<ReadMark>& after) = 0;

  /// How the ledger stands, without changing anything. What cannot be seen is not said.
  [[nodiscard]] virtual LedgerStanding standing(const LedgerKey& ledger, WallTime now) = 0;

  /// Lets go of what is held open for an agent that is gone. Its rows stay, in memory at least for a while.
  virtual void release(const LedgerKey& ledger) = 0;
};

}  // namespace fleetledger
