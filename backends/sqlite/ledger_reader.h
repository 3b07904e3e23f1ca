#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backends/rollup.h"
#include "backends/sqlite/ledger_place.h"
#include "backends/sqlite/summary_cache.h"
#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

class KeptReaders;

/// The reading half of LedgerStore for one place, each call by a read-only connection of its own; any thread.
/// A ledger that nobody has open is read as a file that does not change, so that reading makes no -wal or -shm and
/// works in a folder that we cannot write; if it did change meanwhile, it is read again. So is one with a -wal that a
/// killed writer left: with its -shm as any reader may, without one only where none can be made.
class LedgerReader {
 public:
  /// Connections are opened for each call, or taken from `kept` and given back.
  LedgerReader(LedgerPlace place, std::chrono::milliseconds limit, KeptReaders* kept = nullptr)
      : place_(std::move(place)), limit_(limit), kept_(kept) {}

  /// `most_guess`: a row that does not say how long it stands for is guessed to stand for at most so long.
  [[nodiscard]] Result<LedgerSummary> summary(WallTime since, Micros most_guess, SummaryCache& summaries) const;
  [[nodiscard]] Result<std::vector<Sample>> recent_samples(const SampleQuery& query) const;
  [[nodiscard]] Result<std::vector<SourceTrend>> trend(const TrendQuery& query, Micros most_guess) const;
  [[nodiscard]] Result<std::int64_t> sample_count() const;
  [[nodiscard]] Result<std::optional<WallTime>> newest_sample() const;
  [[nodiscard]] Result<RateLimitReport> rate_limit_report(WallTime since) const;
  [[nodiscard]] Result<std::optional<RateLimitEvent>> rate_limit_event(const std::string& id) const;
  [[nodiscard]] Result<Activity> activity(WallTime since, WallTime until) const;
  [[nodiscard]] Result<ReadMarks> read_marks() const;
  /// The events behind `after`, in the order in which they were written; `apart` is left to the caller.
  [[nodiscard]] Result<EventsElsewhere> events_after(const std::optional<ReadMark>& after) const;

  /// The newest row of another sampler with since <= ts <= until.
  [[nodiscard]] Result<std::optional<WallTime>> newest_foreign(WallTime since, WallTime until) const;
  /// Hands over all samples that we wrote, some thousand at a time; stops at the first Error and returns it. Where the
  /// file changes while it is read, rows can come twice.
  [[nodiscard]] Result<void> our_samples(const std::function<Result<void>(const std::vector<Sample>&)>& take) const;
  /// Likewise the rollups of hours whose rows are not there any more.
  [[nodiscard]] Result<void> lone_rollups(const std::function<Result<void>(const std::vector<Rollup>&)>& take) const;
  /// What is kept beside the events: the newest recoveries, a hundred thousand at most, and how far sources are read.
  [[nodiscard]] Result<AgentTick> our_notes() const;
  /// The mark of LedgerHomes; nothing: there is none.
  [[nodiscard]] Result<std::optional<WallTime>> central_since() const;

 private:
  LedgerPlace place_;
  std::chrono::milliseconds limit_;
  KeptReaders* kept_;
};

}  // namespace fleetledger
