#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "backends/rollup.h"
#include "core/ledger_queries.h"
#include "core/result.h"
#include "core/sample.h"

namespace fleetledger {

/// invalid: what TrendQuery does not allow.
[[nodiscard]] Result<void> check(const TrendQuery& query);

/// Puts the rows and rollups of one source into the buckets of a query that was checked.
class TrendBuilder {
 public:
  explicit TrendBuilder(const TrendQuery& query);

  /// A row of the window, already clean; `guess` as in Tally::add.
  void add(const Sample& row, Micros guess) { bucket_of(row.ts).add(row, guess); }
  /// An hour or a day that begins before the window's end.
  void add(const Rollup& rollup) { bucket_of(std::max(rollup.start, since_)).add(rollup.tally); }

  [[nodiscard]] std::vector<TrendBucket> buckets() &&;

 private:
  [[nodiscard]] std::int64_t start(std::int64_t index) const { return index * span_ / count_; }
  Tally& bucket_of(WallTime ts);

  WallTime since_;
  std::int64_t span_;                      ///< ms
  std::int64_t count_;                     ///< of the query's buckets
  std::map<std::int64_t, Tally> tallies_;  ///< by the bucket's number
  Tally* last_ = nullptr;                  ///< the bucket that was asked for last
  std::int64_t last_start_ = 0;            ///< its edges, in ms from `since_`
  std::int64_t last_end_ = 0;
};

/// Where the buckets of a query that was checked begin, and the window's end.
[[nodiscard]] std::vector<WallTime> edges_of(const TrendQuery& query);

}  // namespace fleetledger
