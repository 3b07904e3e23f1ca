#include "backends/memory/memory_store.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "backends/activity_builder.h"
#include "backends/backends.h"
#include "backends/clean.h"
#include "backends/trend_builder.h"

namespace fleetledger {
namespace {

struct SampleKey {
  WallTime ts;
  std::string source;

  /// The order of recent_samples: newest first, then by source.
  friend bool operator<(const SampleKey& left, const SampleKey& right) {
    return std::tie(right.ts, left.source) < std::tie(left.ts, right.source);
  }
};

struct EventKey {
  WallTime ts;
  std::string id;

  /// The order of rate_limit_report: newest first, then by id, descending.
  friend bool operator<(const EventKey& left, const EventKey& right) {
    return std::tie(right.ts, right.id) < std::tie(left.ts, left.id);
  }
};

/// Events, or recoveries.
struct EventTable {
  std::map<EventKey, RateLimitEvent> rows;
  std::unordered_map<std::string, WallTime> ids;  ///< of `rows`

  void add(const RateLimitEvent& given) {
    RateLimitEvent event = clean(given);
    if (ids.emplace(event.id, event.ts).second) {
      rows.emplace(EventKey{event.ts, event.id}, std::move(event));
    }
  }

  /// Removes the rows that are older than `cutoff` and `go(row)`.
  template <typename Go>
  void prune(WallTime cutoff, const Go& go) {
    for (auto row = rows.end(); row != rows.begin();) {
      const auto older = std::prev(row);
      if (older->first.ts >= cutoff) {
        return;
      }
      if (go(older->second)) {
        ids.erase(older->first.id);
        rows.erase(older);
      } else {
        row = older;
      }
    }
  }

  void keep_newest(std::size_t most) {
    while (rows.size() > most) {
      const auto oldest = std::prev(rows.end());
      ids.erase(oldest->first.id);
      rows.erase(oldest);
    }
  }

  /// The newest ones with ts >= since.
  [[nodiscard]] std::vector<RateLimitEvent> newest(WallTime since) const {
    std::vector<RateLimitEvent> result;
    for (auto row = rows.begin(); row != rows.end() && row->first.ts >= since && result.size() < kMostEvents; ++row) {
      result.push_back(row->second);
    }
    return result;
  }
};

bool is_ours(const RateLimitEvent& event) { return event.source == kSentinelEvents; }

struct Ledger {
  std::map<SampleKey, Sample> samples;
  EventTable events;
  EventTable recoveries;
  ReadMarks marks;

  /// The samples older than `cutoff` are those from here on.
  [[nodiscard]] auto older_than(WallTime cutoff) {
    return std::find_if(samples.lower_bound({cutoff, {}}), samples.end(),
                        [cutoff](const auto& row) { return row.first.ts < cutoff; });
  }

  std::int64_t prune(WallTime cutoff) {
    const auto first = older_than(cutoff);
    const auto count = std::distance(first, samples.end());
    samples.erase(first, samples.end());
    return count;
  }
};

class MemoryStore final : public LedgerStore {
 public:
  explicit MemoryStore(std::size_t most_rows) : most_rows_(std::max<std::size_t>(most_rows, 1)) {}

  Result<LedgerStanding> append(const LedgerKey& key, const AgentTick& tick) override {
    const std::lock_guard lock(mutex_);
    Ledger& ledger = ledgers_[key.agent.path];
    for (const Sample& given : tick.samples) {
      Sample sample = clean(given);
      while (ledger.samples.contains({sample.ts, sample.source})) {
        sample.ts += std::chrono::milliseconds{1};
      }
      ledger.samples.emplace(SampleKey{sample.ts, sample.source}, std::move(sample));
    }
    for (const RateLimitEvent& event : tick.events) {
      ledger.events.add(event);
    }
    for (const RateLimitEvent& recovery : tick.recoveries) {
      ledger.recoveries.add(recovery);
    }
    for (const auto& [source, mark] : tick.marks) {
      ledger.marks[source] = mark;
    }
    if (tick.prune_samples_before) {
      ledger.prune(*tick.prune_samples_before);
    }
    if (tick.prune_events_before) {
      ledger.events.prune(*tick.prune_events_before, is_ours);
      ledger.recoveries.prune(*tick.prune_events_before, [](const RateLimitEvent&) { return true; });
    }
    if (tick.prune_upstream_events_before) {
      ledger.events.prune(*tick.prune_upstream_events_before, std::not_fn(is_ours));
    }
    while (ledger.samples.size() > most_rows_) {
      ledger.samples.erase(std::prev(ledger.samples.end()));
    }
    ledger.events.keep_newest(most_rows_);
    ledger.recoveries.keep_newest(most_rows_);
    return memory();
  }

  Result<LedgerSummary> summary(const LedgerKey& key, WallTime since) override {
    const std::lock_guard lock(mutex_);
    Ledger& ledger = ledgers_[key.agent.path];
    std::map<std::string, SourceSummary> by_source;
    const auto end = ledger.older_than(since);
    for (auto row = ledger.samples.begin(); row != end; ++row) {
      const Sample& sample = row->second;
      SourceSummary& source = by_source[sample.source];
      if (source.sample_count == 0) {
        source.source = sample.source;
        source.newest = sample;
      }
      ++source.sample_count;
      source.avg_cpu_percent += sample.cpu_percent;  // a sum until all rows are seen
      source.avg_resident += static_cast<double>(sample.resident.value);
      source.peak_cpu_percent = std::max(source.peak_cpu_percent, sample.cpu_percent);
      source.peak_resident = std::max(source.peak_resident, sample.resident);
      source.usage += sample.usage.value_or(Usage{});
    }
    LedgerSummary result;
    result.sample_count = static_cast<std::int64_t>(ledger.samples.size());
    for (auto& [name, source] : by_source) {
      source.avg_cpu_percent /= static_cast<double>(source.sample_count);
      source.avg_resident /= static_cast<double>(source.sample_count);
      result.sources.push_back(std::move(source));
    }
    std::stable_sort(result.sources.begin(), result.sources.end(),
                     [](const auto& left, const auto& right) { return left.newest.ts > right.newest.ts; });
    return result;
  }

  Result<std::vector<Sample>> recent_samples(const LedgerKey& key, const SampleQuery& query) override {
    const std::lock_guard lock(mutex_);
    Ledger& ledger = ledgers_[key.agent.path];
    std::vector<Sample> result;
    auto row =
        query.before ? ledger.samples.upper_bound({query.before->ts, query.before->source}) : ledger.samples.begin();
    for (; row != ledger.samples.end() && static_cast<std::int64_t>(result.size()) < query.limit; ++row) {
      if (row->first.ts < query.since) {
        break;
      }
      if (!query.source || *query.source == row->first.source) {
        result.push_back(row->second);
      }
    }
    return result;
  }

  Result<std::vector<SourceTrend>> trend(const LedgerKey& key, const TrendQuery& query) override {
    if (const auto good = check(query); !good) {
      return fail(good.error());
    }
    std::vector<SourceTrend> result;
    if (query.until <= query.since) {
      return result;
    }
    const std::lock_guard lock(mutex_);
    Ledger& ledger = ledgers_[key.agent.path];
    std::map<std::string, TrendBuilder> by_source;
    const auto newest = ledger.older_than(query.until);
    for (auto row = ledger.older_than(query.since); row != newest;) {
      const Sample& sample = (--row)->second;
      if (!query.source || *query.source == sample.source) {
        by_source.try_emplace(sample.source, query).first->second.add(sample);
      }
    }
    for (auto& [name, trend] : by_source) {
      result.push_back({name, std::move(trend).buckets()});
    }
    return result;
  }

  Result<std::int64_t> sample_count(const LedgerKey& key) override {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(ledgers_[key.agent.path].samples.size());
  }

  Result<std::optional<WallTime>> newest_sample(const LedgerKey& key) override {
    const std::lock_guard lock(mutex_);
    const Ledger& ledger = ledgers_[key.agent.path];
    return ledger.samples.empty() ? std::nullopt : std::optional(ledger.samples.begin()->first.ts);
  }

  Result<std::int64_t> prune_older_than(const LedgerKey& key, WallTime cutoff) override {
    const std::lock_guard lock(mutex_);
    return ledgers_[key.agent.path].prune(cutoff);
  }

  Result<RateLimitReport> rate_limit_report(const LedgerKey& key, WallTime since) override {
    const std::lock_guard lock(mutex_);
    const Ledger& ledger = ledgers_[key.agent.path];
    RateLimitReport report;
    report.events = ledger.events.newest(since);
    report.recoveries = ledger.recoveries.newest(since);
    std::map<std::pair<std::string, std::string>, RateLimitKind> kinds;
    for (const auto& [row, event] : ledger.events.rows) {
      if (row.ts < since) {
        break;
      }
      RateLimitKind& kind = kinds[{event.kind, event.source}];
      if (kind.count == 0) {
        kind = {event.kind, event.source, 0, event.ts, event.ts};
      }
      ++kind.count;
      kind.first = event.ts;
      ++report.total;
    }
    for (auto& [name, kind] : kinds) {
      report.by_kind.push_back(std::move(kind));
    }
    std::stable_sort(report.by_kind.begin(), report.by_kind.end(),
                     [](const auto& left, const auto& right) { return left.count > right.count; });
    report.by_kind.resize(std::min(report.by_kind.size(), kMostEvents));
    return report;
  }

  Result<std::optional<RateLimitEvent>> rate_limit_event(const LedgerKey& key, const std::string& id) override {
    const std::lock_guard lock(mutex_);
    const EventTable& events = ledgers_[key.agent.path].events;
    const auto known = events.ids.find(id);
    return known == events.ids.end() ? std::nullopt : std::optional(events.rows.at({known->second, id}));
  }

  Result<Activity> activity(const LedgerKey& key, WallTime since, WallTime until) override {
    Activity activity;
    if (until <= since) {
      return activity;
    }
    const std::lock_guard lock(mutex_);
    Ledger& ledger = ledgers_[key.agent.path];
    ActivityBuilder builder(since, until);
    const auto end = ledger.older_than(since + std::chrono::milliseconds{1});
    for (auto row = ledger.older_than(until + kLongestRow); row != end; ++row) {
      builder.add(row->second);
    }
    activity.sources = std::move(builder).sources();
    for (const auto& [row, event] : ledger.events.rows) {
      if (row.ts <= since || activity.events.size() == kMostEvents) {
        break;
      }
      if (row.ts <= until) {
        activity.events.push_back(event);
      }
    }
    return activity;
  }

  Result<ReadMarks> read_marks(const LedgerKey& key) override {
    const std::lock_guard lock(mutex_);
    return ledgers_[key.agent.path].marks;
  }

  Result<EventsElsewhere> events_elsewhere(const LedgerKey& /*key*/,
                                           const std::optional<ReadMark>& /*after*/) override {
    return EventsElsewhere{};
  }

  [[nodiscard]] LedgerStanding standing(const LedgerKey& /*key*/, WallTime /*now*/) override { return memory(); }

  void release(const LedgerKey& /*key*/) override {}

 private:
  /// Nobody else writes here.
  static LedgerStanding memory() { return {.place = "memory", .central_since = {}, .other_sampler = {}}; }

  const std::size_t most_rows_;
  std::mutex mutex_;
  std::map<std::string, Ledger> ledgers_;  ///< by the agent's path
};

}  // namespace

Result<std::unique_ptr<LedgerStore>> open_memory_store(const StoreOptions& options) {
  return std::unique_ptr<LedgerStore>(std::make_unique<MemoryStore>(options.rows_per_ledger));
}

}  // namespace fleetledger
