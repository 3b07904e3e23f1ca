#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/agent.h"
#include "core/result.h"
#include "core/sample.h"
#include "core/units.h"

namespace fleetledger {

/// Whose ledger. `location` is for backends that keep ledgers in places; others ignore it.
struct LedgerKey {
  AgentIdentity agent;
  LedgerLocation location = LedgerLocation::automatic;
};

[[nodiscard]] inline LedgerKey ledger_of(const Agent& agent) { return {agent.identity, agent.settings.location}; }

/// Latest, average and peak of one source over a window. Averages are means over rows, not rounded.
struct SourceSummary {
  std::string source;
  Sample newest;
  double avg_cpu_percent = 0;
  double peak_cpu_percent = 0;
  double avg_resident = 0;  ///< bytes
  Bytes peak_resident;
  std::int64_t sample_count = 0;  ///< rows in the window
  Usage usage;                    ///< summed over the rows that know it
};

struct LedgerSummary {
  std::vector<SourceSummary> sources;  ///< those with a row in the window, newest first, then by name
  std::int64_t sample_count = 0;       ///< rows in the whole ledger
};

struct SampleQuery {
  WallTime since{};                     ///< rows with ts >= since
  std::optional<std::string> source{};  ///< this source only
  std::int64_t limit = 200;             ///< at most so many rows; not above 0: none
};

struct RateLimitKind {
  std::string kind;
  std::string source;
  std::int64_t count = 0;
  WallTime first{};
  WallTime last{};
};

struct RateLimitReport {
  std::vector<RateLimitKind> by_kind;  ///< most frequent first, then by kind and source, at most kMostEvents
  std::vector<RateLimitEvent> events;  ///< newest first (then by id, descending), at most kMostEvents
  std::int64_t total = 0;              ///< events in the window, the ones not listed included
};
inline constexpr std::size_t kMostEvents = 200;
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

  /// Writes one tick and prunes, whole or not at all. A sample whose (source, ts) is taken gets the next free
  /// millisecond; a wall clock that was set back moves nothing else. An event whose id is known is left as it is.
  /// Of a long arrear of old samples a part may be left to the next appends.
  virtual Result<void> append(const LedgerKey& ledger, const AgentTick& tick) = 0;

  /// Rows with ts >= since, by source.
  virtual Result<LedgerSummary> summary(const LedgerKey& ledger, WallTime since) = 0;

  /// Newest first; rows of one ts by source name.
  virtual Result<std::vector<Sample>> recent_samples(const LedgerKey& ledger, const SampleQuery& query) = 0;

  virtual Result<std::int64_t> sample_count(const LedgerKey& ledger) = 0;  ///< of the whole ledger

  virtual Result<std::optional<WallTime>> newest_sample(const LedgerKey& ledger) = 0;  ///< nothing: it is empty

  /// Deletes all samples with ts < cutoff; how many went. Events stay. What went before a failure is gone.
  virtual Result<std::int64_t> prune_older_than(const LedgerKey& ledger, WallTime cutoff) = 0;
  /// Events with ts >= since.
  virtual Result<RateLimitReport> rate_limit_report(const LedgerKey& ledger, WallTime since) = 0;

  /// Where the ledger is, for people ("/x/resource-ledger.db", "memory"). Touches nothing.
  [[nodiscard]] virtual std::string describe(const LedgerKey& ledger) const = 0;

  /// Lets go of what is held open for an agent that is gone. Its rows stay.
  virtual void release(const LedgerKey& ledger) = 0;
};

}  // namespace fleetledger
