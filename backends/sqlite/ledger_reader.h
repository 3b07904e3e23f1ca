#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "backends/sqlite/ledger_place.h"
#include "backends/sqlite/summary_cache.h"
#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

/// The reading half of LedgerStore for one place, each call by its own read-only connection; any thread.
/// A ledger that nobody has open is read as a file that does not change, so that reading makes no -wal or -shm and
/// works in a folder that we cannot write; if it did change meanwhile, it is read again.
class LedgerReader {
 public:
  /// `summaries` must outlive this object.
  LedgerReader(LedgerPlace place, std::chrono::milliseconds limit, SummaryCache& summaries)
      : place_(std::move(place)), limit_(limit), summaries_(summaries) {}

  [[nodiscard]] Result<LedgerSummary> summary(WallTime since) const;
  [[nodiscard]] Result<std::vector<Sample>> recent_samples(const SampleQuery& query) const;
  [[nodiscard]] Result<std::vector<SourceTrend>> trend(const TrendQuery& query) const;
  [[nodiscard]] Result<std::int64_t> sample_count() const;
  [[nodiscard]] Result<std::optional<WallTime>> newest_sample() const;
  [[nodiscard]] Result<RateLimitReport> rate_limit_report(WallTime since) const;

 private:
  LedgerPlace place_;
  std::chrono::milliseconds limit_;
  SummaryCache& summaries_;
};

}  // namespace fleetledger
