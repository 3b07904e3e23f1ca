#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/ledger_store.h"

namespace fleetledger::test {

/// Keeps what was appended, by agent id, and fails where the test wants it to. One thread.
class FakeStore final : public LedgerStore {
 public:
  std::map<std::string, std::vector<AgentTick>> written;
  std::map<std::string, int> released;
  std::map<std::string, LedgerStanding> standings;  ///< what is said of a ledger, but for its place
  int appends = 0;
  /// Asked before each append; an Error is returned instead of writing.
  std::function<Result<void>(const LedgerKey&)> before_append;
  std::function<Result<void>()> before_read;  ///< likewise before marks or events are read
  int reports_asked_for = 0;
  int events_asked_for = 0;
  std::vector<RateLimitEvent> elsewhere;  ///< in the ledgers of agents' own servers

  Result<LedgerStanding> append(const LedgerKey& ledger, const AgentTick& tick) override {
    ++appends;
    if (before_append) {
      if (auto allowed = before_append(ledger); !allowed) {
        return fail(allowed.error());
      }
    }
    written[ledger.agent.id].push_back(tick);
    auto standing_now = standing(ledger, {});
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
  /// By kind alone, and each as often as it was given.
  Result<RateLimitReport> rate_limit_report(const LedgerKey& ledger, WallTime since) override {
    ++reports_asked_for;
    if (auto allowed = may_read(); !allowed) {
      return fail(allowed.error());
    }
    RateLimitReport report;
    for (const auto* event : events_of(ledger)) {
      if (event->ts >= since) {
        report.by_kind.push_back({event->kind, event->source, 1, event->ts, event->ts});
      }
    }
    return report;
  }
  Result<std::optional<RateLimitEvent>> rate_limit_event(const LedgerKey& ledger, const std::string& id) override {
    ++events_asked_for;
    if (auto allowed = may_read(); !allowed) {
      return fail(allowed.error());
    }
    for (const auto* event : events_of(ledger)) {
      if (event->id == id) {
        return std::optional(*event);
      }
    }
    return std::optional<RateLimitEvent>{};
  }
  Result<Activity> activity(const LedgerKey&, WallTime, WallTime) override { return Activity{}; }
  Result<ReadMarks> read_marks(const LedgerKey& ledger) override {
    if (auto allowed = may_read(); !allowed) {
      return fail(allowed.error());
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
    for (; at < elsewhere.size() && found.events.size() < 2; ++at) {
      found.events.push_back(elsewhere[at]);
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

 private:
  [[nodiscard]] Result<void> may_read() const { return before_read ? before_read() : Result<void>{}; }
  [[nodiscard]] std::vector<const RateLimitEvent*> events_of(const LedgerKey& ledger) const {
    std::vector<const RateLimitEvent*> events;
    if (const auto found = written.find(ledger.agent.id); found != written.end()) {
      for (const auto& tick : found->second) {
        for (const auto& event : tick.events) {
          events.push_back(&event);
        }
      }
    }
    return events;
  }
};

}  // namespace fleetledger::test
