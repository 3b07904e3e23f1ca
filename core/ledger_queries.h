#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/read_mark.h"
#include "core/sample.h"
#include "core/units.h"

// What is asked of a ledger and what it answers (LedgerStore).

namespace fleetledger {

/// What is guessed of rows that do not say how much CPU time they stand for, or of how long (other samplers' rows): as
/// long as it is since the row before, at most two of the sampler's periods, at the row's own percentage.
struct Estimate {
  Usage usage;
  Micros interval{0};

  friend bool operator==(const Estimate&, const Estimate&) = default;
};

// Of hours that are over, what their rows come to is kept longer than the rows (the rollup of an hour). Where an hour's
// rows are not there any more, its rollup stands for it whole: it counts as soon as one of its rows was in the window.

/// Latest, average and peak of one source over a window. Averages are means over rows, not rounded.
struct SourceSummary {
  std::string source;
  Sample newest;
  double avg_cpu_percent = 0;
  double peak_cpu_percent = 0;
  double avg_resident = 0;  ///< bytes
  Bytes peak_resident;
  std::int64_t sample_count = 0;  ///< rows in the window, those that are only in rollups included
  Usage usage;                    ///< summed over the rows that know it
  Estimate estimated;             ///< of the other rows
  /// The mean over the time that the rows stand for: usage by time, estimates included. Nothing: they stand for none.
  std::optional<double> time_weighted_cpu_percent;
};

struct LedgerSummary {
  std::vector<SourceSummary> sources;  ///< those with a row in the window, newest first, then by name
  std::int64_t sample_count = 0;       ///< rows in the whole ledger, rollups not counted
};

/// A place in the order of recent_samples: newest first, then by source name.
struct SampleCursor {
  WallTime ts{};
  std::string source;
};

struct SampleQuery {
  WallTime since{};                     ///< rows with ts >= since
  std::optional<std::string> source{};  ///< this source only
  std::int64_t limit = 200;             ///< at most so many rows; not above 0: none
  /// Only rows that come after this one. With the last row of a page it asks for the next page: no row is met twice,
  /// and none that stays is missed, whatever is written or pruned meanwhile.
  std::optional<SampleCursor> before{};
};

inline constexpr std::int64_t kMostBuckets = 1000;

/// A window cut into buckets. Bucket i starts at since + i * (until - since) / buckets, in whole ms, rounded down.
struct TrendQuery {
  WallTime since{};                     ///< like `until` from 1970 to the end of the year 9999
  WallTime until{};                     ///< rows with since <= ts < until; not above `since`: none
  std::int64_t buckets = 200;           ///< 1 to kMostBuckets
  std::optional<std::string> source{};  ///< this source only
};

/// The rows of one source in one bucket. Averages are means over rows, not rounded. An hour of which only the rollup is
/// left lies whole in the bucket in which it begins (or in the first one), also where buckets are shorter than hours.
struct TrendBucket {
  WallTime start{};
  std::int64_t rows = 0;
  double min_cpu_percent = 0;
  double avg_cpu_percent = 0;
  double peak_cpu_percent = 0;
  Bytes min_resident;
  double avg_resident = 0;  ///< bytes
  Bytes peak_resident;
  std::optional<Usage> usage;                       ///< summed over the rows that know it; nothing: none does
  std::optional<Micros> interval;                   ///< likewise: how much of the bucket was measured
  Estimate estimated;                               ///< of the other rows
  std::optional<double> time_weighted_cpu_percent;  ///< as in SourceSummary
};

struct SourceTrend {
  std::string source;
  std::vector<TrendBucket> buckets;  ///< those with a row, oldest first; a gap is where there is none
};

struct RateLimitKind {
  std::string kind;
  std::string source;
  std::int64_t count = 0;
  WallTime first{};
  WallTime last{};
};

struct RateLimitReport {
  std::vector<RateLimitKind> by_kind;      ///< most frequent first, then by kind and source, at most kMostEvents
  std::vector<RateLimitEvent> events;      ///< newest first (then by id, descending), at most kMostEvents
  std::int64_t total = 0;                  ///< events in the window, the ones not listed included
  std::vector<RateLimitEvent> recoveries;  ///< ordered like events, at most kMostEvents; counted nowhere
};
inline constexpr std::size_t kMostEvents = 200;

/// What one source did in a stretch of time. A row stands for the interval that ended at its ts, and counts by the
/// share of it that lies in the stretch.
struct SourceActivity {
  std::string source;
  std::optional<Usage> usage;  ///< nothing: it ran, and no row says how much CPU time it spent
  Micros measured{0};          ///< how much of the stretch `usage` is about
};

/// What an agent did in a stretch of time.
struct Activity {
  std::vector<SourceActivity> sources;  ///< those that ran, by name
  std::vector<RateLimitEvent> events;   ///< since < ts <= until, ordered and limited as in RateLimitReport
};
/// Rows are looked for this long after the end of a stretch: of a longer interval the part before its end is missing.
inline constexpr std::chrono::milliseconds kLongestRow = std::chrono::minutes{10};

/// Events that lie in a ledger of the agent's own, apart from this one.
struct EventsElsewhere {
  bool apart = false;                  ///< there is such a ledger, or may come to be
  std::vector<RateLimitEvent> events;  ///< in the order in which they were written
  ReadMark mark;                       ///< how far it is read with these
  bool more = false;                   ///< there are further ones
};

}  // namespace fleetledger
