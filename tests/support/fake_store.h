#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/ledger_store.h"

namespace fleetledger::test {

/// Keeps what was appended, by agent id, and fails where the test wants it to. One thread.
class FakeStore final : public LedgerStore {
 public:
  std::map<std::string, std::vector<AgentTick>> written;
  std::map<std::string, std::set<std::string>> event_ids;  ///< of all that was written
  std::map<std::string, int> released;
  std::map<std::string, LedgerStanding> standings;  ///< what is said of a ledger, but for its place
  int appends = 0;
  /// Asked before each append; an Error is returned instead of writing.
  std::function<Result<void>(const LedgerKey&)> before_append;
  std::function<Result<void>()> before_read;  ///< likewise before marks are read
  std::vector<RateLimitEvent> elsewhere;      ///< rows of agents' own servers; one without an id is of no event

  Result<LedgerStanding> append(const LedgerKey& ledger, const AgentTick& tick) override {
    ++appends;
    if (before_append) {
      if (auto allowed = before_append(ledger); !allowed) {
        return fail(allowed.error());
      }
    }
    auto standing_now = standing(ledger, {});
    for (const auto& event : tick.events) {
      if (event_ids[ledger.agent.id].insert(event.id).second) {
        standing_now.new_events.push_back(event.id);
      }
    }
    written[ledger.agent.id].push_back(tick);
    standing_now.more_to_prune = standing_now.more_to_prune && tick.prune_samples_before;
    return standing_now;
  }
  Result<LedgerSummary> summary(const LedgerKey&, WallTime) override { return LedgerSummary{}; }
  Result<std::vector<Sample>> recent_samples(const LedgerKey&, const SampleQuery&) override {
    return std::vector<Sample>{};
  }
  Result<std::vector<SourceTrend>> trend(const LedgerKey&, const TrendQuery&) override {
    return std::vector<SourceTrend>{};
  }
  Result<std::int64_t> sample_count(const LedgerKey&) override { return 0; }
  Result<std::optional<WallTime>> newest_sample(const LedgerKey&) override { return std::optional<WallTime>{}; }
  Result<std::int64_t> prune_older_than(const LedgerKey&, WallTime) override { return 0; }
  Result<RateLimitReport> rate_limit_report(const LedgerKey&, WallTime) override { return RateLimitReport{}; }
  Result<std::optional<RateLimitEvent>> rate_limit_event(const LedgerKey&, const std::string&) override {
    return std::optional<RateLimitEvent>{};
  }
  Result<Activity> activity(const LedgerKey&, WallTime, WallTime) override { return Activity{}; }
  Result<ReadMarks> read_marks(const LedgerKey& ledger) override {
    if (before_read) {
      if (auto allowed = before_read(); !allowed) {
        return fail(allowed.error());
      }
    }
    ReadMarks marks;
    if (const auto found = written.find(ledger.agent.id); found != written.end()) {
      for (const auto& tick : found->second) {
        for (const auto& [source, mark] : tick.marks) {
          marks[source] = mark;
        }
      }
    }
    return marks;
  }
  /// Two at a time.
  Result<EventsElsewhere> events_elsewhere(const LedgerKey&, const std::optional<ReadMark>& after) override {
    EventsElsewhere found{.apart = !elsewhere.empty(), .events = {}, .mark = {.memory = {}}, .more = false};
    std::size_t at = after ? after->offset : 0;
    for (const std::size_t end = std::min(at + 2, elsewhere.size()); at < end; ++at) {
      if (!elsewhere[at].id.empty()) {
        found.events.push_back(elsewhere[at]);
      }
    }
    found.mark.offset = at;
    found.more = at < elsewhere.size();
    return found;
  }
  [[nodiscard]] LedgerStanding standing(const LedgerKey& ledger, WallTime /*now*/) override {
    LedgerStanding made = standings[ledger.agent.id];
    made.place = "fake:" + ledger.agent.id;
    return made;
  }
  void release(const LedgerKey& ledger) override { ++released[ledger.agent.id]; }
};

}  // namespace fleetledger::test
