#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/process.h"
#include "core/read_mark.h"
#include "core/units.h"

namespace fleetledger {

/// The names of sources in a ledger (upstream's, and ours: orphans).
inline constexpr std::string_view kServerSource = "agent-server";
inline constexpr std::string_view kAggregateSource = "aggregate";
inline constexpr std::string_view kOrphansSource = "orphans";
inline constexpr std::string_view kSessionPrefix = "session:";  ///< followed by the session's id

/// One row: what one source of an agent did in one interval.
struct Sample {
  WallTime ts{};
  std::string source;
  Pid pid = 0;             ///< its root; 0 for aggregate and orphans
  double cpu_percent = 0;  ///< of the interval; one busy core is 100
  Bytes resident;
  std::optional<Bytes> heap;               ///< the server's V8 heap, where it is known
  std::optional<Usage> usage;              ///< CPU time spent in the interval; not known for rows of other samplers
  std::optional<Micros> interval;          ///< how long the interval was; likewise
  std::optional<std::uint32_t> processes;  ///< how many processes were summed; likewise

  friend bool operator==(const Sample&, const Sample&) = default;
};

/// The names of sources of events: who wrote them.
inline constexpr std::string_view kBreakerEvents = "circuit-breaker";    ///< the agent's own server
inline constexpr std::string_view kSentinelEvents = "session-sentinel";  ///< we, from the sentinels' log

/// The kinds of events: what was met, and how the server's breaker answered. Of a recovery it is another word.
inline constexpr std::string_view kThrottle = "throttle";
inline constexpr std::string_view kQuota = "quota";
inline constexpr std::string_view kOverload = "529";
inline constexpr std::string_view kCircuitOpen = "circuit-open";
inline constexpr std::string_view kCircuitRecover = "circuit-recover";

/// One throttling, or a breaker's opening or closing. Also one recovery of a session, kept apart from these.
struct RateLimitEvent {
  std::string id;  ///< "<source>:<ts>:<seq>": an event with an id that is there already is not written again
  WallTime ts{};
  std::string kind;                     ///< see above
  std::string source;                   ///< likewise
  std::string account_key = "default";  ///< "default" means unknown
  std::optional<std::string> session_name;
  std::optional<std::string> reason;
  std::optional<std::string> detail;

  friend bool operator==(const RateLimitEvent&, const RateLimitEvent&) = default;
};

/// All that is written to one agent's ledger at a time: whole or not at all.
struct AgentTick {
  std::vector<Sample> samples;
  std::vector<RateLimitEvent> events;
  std::optional<WallTime> prune_samples_before;  ///< see LedgerStore::prune_older_than; nothing: none go

  /// How sessions came out of a throttling. Kept beside the events and never counted among them, neither by us nor by
  /// upstream's reader, which counts every row of its table.
  std::vector<RateLimitEvent> recoveries{};
  ReadMarks marks{};                                       ///< how far these events' sources are read now
  std::optional<WallTime> prune_events_before{};           ///< likewise of kSentinelEvents, and recoveries
  std::optional<WallTime> prune_upstream_events_before{};  ///< likewise of all other events
  std::optional<Bytes> most_bytes{};  ///< more than this is not kept of samples; nothing: there is no bound
  std::optional<WallTime> prune_rollups_before{};  ///< rollups of the days before go, where the samples have gone
  std::optional<WallTime> ts{};  ///< of one without samples, by which hours are over; else it is its newest sample's
};

}  // namespace fleetledger
