#pragma once

#include <cstdint>
#include <vector>

#include "core/ledger_queries.h"
#include "core/result.h"
#include "core/sample.h"

namespace fleetledger {

/// invalid: what TrendQuery does not allow.
[[nodiscard]] Result<void> check(const TrendQuery& query);

/// Puts the rows of one source into the buckets of a query that was checked.
class TrendBuilder {
 public:
  explicit TrendBuilder(const TrendQuery& query);

  /// A row of the window, already clean, not older than the one before.
  void add(const Sample& row);

  [[nodiscard]] std::vector<TrendBucket> buckets() &&;

 private:
  [[nodiscard]] std::int64_t start(std::int64_t index) const { return index * span_ / count_; }

  WallTime since_;
  std::int64_t span_;                 ///< ms
  std::int64_t count_;                ///< of the query's buckets
  std::int64_t end_ = 0;              ///< of the newest bucket, in ms from `since_`
  std::vector<TrendBucket> buckets_;  ///< their averages are sums as yet
};

}  // namespace fleetledger
