#include "backends/memory/memory_store.h"

#include <algorithm>
#include <deque>
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
#include "backends/rolling.h"
#include "backends/summary_builder.h"
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

  /// Whether its id was not there.
  bool add(const RateLimitEvent& given) {
    RateLimitEvent event = clean(given);
    if (!ids.emplace(event.id, event.ts).second) {
      return false;
    }
    rows.emplace(EventKey{event.ts, event.id}, std::move(event));
    return true;
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

using Rollups = std::map<std::pair<WallTime, std::string>, Rollup>;

/// Of no window's end.
constexpr WallTime kEndOfTime{std::chrono::sys_days{std::chrono::year{10000} / 1 / 1}};

struct Ledger {
  std::map<SampleKey, Sample> samples;
  Rollups hours;
  Rollups days;
  RolledTo rolled;
  EventTable events;
  EventTable recoveries;
  ReadMarks marks;

  /// The samples older than `cutoff` are those from here on.
  [[nodiscard]] auto older_than(WallTime cutoff) {
    return std::find_if(samples.lower_bound({cutoff, {}}), samples.end(),
                        [cutoff](const auto& row) { return row.first.ts < cutoff; });
  }
};

class MemoryHours final : public WritableLedgerHours {
 public:
  explicit MemoryHours(Ledger& ledger) : ledger_(ledger) {}

  [[nodiscard]] RolledTo rolled_to() const override { return ledger_.rolled; }

  [[nodiscard]] std::optional<WallTime> first_row(WallTime from) const override {
    const auto before = ledger_.older_than(from);
    return before == ledger_.samples.begin() ? std::nullopt : std::optional(std::prev(before)->first.ts);
  }

  [[nodiscard]] std::optional<WallTime> first_rollup(WallTime from) const override {
    const auto first = ledger_.hours.lower_bound({from, {}});
    return first == ledger_.hours.end() ? std::nullopt : std::optional(first->first.first);
  }

  [[nodiscard]] std::optional<WallTime> last_rollup() const override {
    return ledger_.hours.empty() ? std::nullopt : std::optional(std::prev(ledger_.hours.end())->first.first);
  }

  [[nodiscard]] std::optional<WallTime> row_before(const std::string& source, WallTime ts) const override {
    const auto is_its = [&source](const auto& row) { return row.first.source == source; };
    const auto row = std::find_if(ledger_.older_than(ts), ledger_.samples.end(), is_its);
    std::optional<WallTime> before;
    if (row != ledger_.samples.end()) {
      before = row->first.ts;
    }
    for (auto hour = ledger_.hours.lower_bound({hour_of(ts), {}}); hour != ledger_.hours.begin();) {
      if ((--hour)->first.second == source) {
        const WallTime newest = hour->second.tally.newest.ts;
        return before ? std::max(*before, newest) : newest;
      }
    }
    return before;
  }

  void rows(const Stretch& stretch, const std::function<void(const Sample&)>& visit) const override {
    const auto end = ledger_.older_than(stretch.until);
    for (auto row = ledger_.older_than(stretch.since); row != end;) {
      const Sample& sample = (--row)->second;
      if (stretch.source == nullptr || *stretch.source == sample.source) {
        visit(sample);
      }
    }
  }

  void rollups(Span span, const Stretch& stretch, const std::function<void(const Rollup&)>& visit) const override {
    const Rollups& all = table(span);
    for (auto at = all.lower_bound({stretch.since, {}}); at != all.end() && at->first.first < stretch.until; ++at) {
      if (stretch.source == nullptr || *stretch.source == at->first.second) {
        visit(at->second);
      }
    }
  }

  void set_rolled_to(const RolledTo& rolled) override { ledger_.rolled = rolled; }
  void rows_before_changed() override {}

  [[nodiscard]] std::optional<Rollup> find(const std::string& source, WallTime hour) const override {
    const auto found = ledger_.hours.find({hour, source});
    return found == ledger_.hours.end() ? std::nullopt : std::optional(found->second);
  }

  void put(Span span, const Rollup& rollup) override { table(span)[{rollup.start, rollup.source}] = rollup; }

  std::int64_t remove_rows(WallTime end, std::int64_t most) override {
    std::int64_t removed = 0;
    while (removed < most && !ledger_.samples.empty() && std::prev(ledger_.samples.end())->first.ts < end) {
      ledger_.samples.erase(std::prev(ledger_.samples.end()));
      ++removed;
    }
    return removed;
  }

  void remove_rollups(WallTime end) override {
    for (Rollups* all : {&ledger_.hours, &ledger_.days}) {
      all->erase(all->begin(), all->lower_bound({end, {}}));
    }
  }

 private:
  [[nodiscard]] Rollups& table(Span span) const { return span == Span::hour ? ledger_.hours : ledger_.days; }

  Ledger& ledger_;
};

Micros most_guess(const LedgerKey& ledger) { return 2 * ledger.own_sampler_period; }

class MemoryStore final : public LedgerStore {
 public:
  static constexpr std::size_t kMostGone = 100;

  explicit MemoryStore(std::size_t most_rows) : most_rows_(std::max<std::size_t>(most_rows, 1)) {}

  Result<LedgerStanding> append(const LedgerKey& key, const AgentTick& tick) override {
    const std::lock_guard lock(mutex_);
    Ledger& ledger = ledgers_[key.agent.path];
    std::erase(gone_, key.agent.path);
    MemoryHours hours(ledger);
    LateRows late(hours, most_guess(key));
    for (const Sample& given : tick.samples) {
      Sample sample = clean(given);
      while (ledger.samples.contains({sample.ts, sample.source})) {
        sample.ts += std::chrono::milliseconds{1};
      }
      ledger.samples.emplace(SampleKey{sample.ts, sample.source}, sample);
      late.written(sample);
    }
    if (const auto now = time_of(tick)) {
      roll_hours(hours, *now, most_guess(key));
    }
    LedgerStanding standing = memory();
    for (const RateLimitEvent& event : tick.events) {
      if (ledger.events.add(event)) {
        standing.new_events.push_back(event.id);
      }
    }
    for (const RateLimitEvent& recovery : tick.recoveries) {
      ledger.recoveries.add(recovery);
    }
    for (const auto& [source, mark] : tick.marks) {
      ledger.marks[source] = mark;
    }
    if (tick.prune_samples_before) {
      standing.more_to_prune = prune_hours(hours, *tick.prune_samples_before, most_guess(key)) >= kRowsAtOnce;
    }
    if (tick.prune_rollups_before && prune_rollups(hours, *tick.prune_rollups_before)) {
      standing.more_to_prune = true;
    }
    if (tick.prune_events_before) {
      ledger.events.prune(*tick.prune_events_before, is_ours);
      ledger.recoveries.prune(*tick.prune_events_before, [](const RateLimitEvent&) { return true; });
    }
    if (tick.prune_upstream_events_before) {
      ledger.events.prune(*tick.prune_upstream_events_before, std::not_fn(is_ours));
    }
    keep_newest(ledger, hours, key);
    ledger.events.keep_newest(most_rows_);
    ledger.recoveries.keep_newest(most_rows_);
    return standing;
  }

  Result<LedgerSummary> summary(const LedgerKey& key, WallTime since) override {
    const std::lock_guard lock(mutex_);
    Ledger& ledger = to_read(key);
    SummaryBuilder builder;
    visit_window(MemoryHours(ledger), {since, kEndOfTime}, {since, kEndOfTime}, most_guess(key),
                 {[&](const Sample& row, Micros guess) { builder.add(row, guess); },
                  [&](const Rollup& rollup) { builder.add(rollup); }});
    LedgerSummary result;
    result.sample_count = static_cast<std::int64_t>(ledger.samples.size());
    result.sources = builder.sources();
    return result;
  }

  Result<std::vector<Sample>> recent_samples(const LedgerKey& key, const SampleQuery& query) override {
    const std::lock_guard lock(mutex_);
    Ledger& ledger = to_read(key);
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
    Ledger& ledger = to_read(key);
    std::map<std::string, TrendBuilder> by_source;
    const auto of = [&](const std::string& source) -> TrendBuilder& {
      return by_source.try_emplace(source, query).first->second;
    };
    visit_window(MemoryHours(ledger), {query.since, query.until, query.source ? &*query.source : nullptr},
                 edges_of(query), most_guess(key),
                 {[&](const Sample& row, Micros guess) { of(row.source).add(row, guess); },
                  [&](const Rollup& rollup) { of(rollup.source).add(rollup); }});
    for (auto& [name, trend] : by_source) {
      result.push_back({name, std::move(trend).buckets()});
    }
    return result;
  }

  Result<std::int64_t> sample_count(const LedgerKey& key) override {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(to_read(key).samples.size());
  }

  Result<std::optional<WallTime>> newest_sample(const LedgerKey& key) override {
    const std::lock_guard lock(mutex_);
    const Ledger& ledger = to_read(key);
    std::optional<WallTime> newest;
    if (!ledger.samples.empty()) {
      newest = ledger.samples.begin()->first.ts;
    }
    if (!ledger.hours.empty()) {
      const WallTime last_hour = std::prev(ledger.hours.end())->first.first;
      for (auto at = ledger.hours.lower_bound({last_hour, {}}); at != ledger.hours.end(); ++at) {
        newest = std::max(newest.value_or(at->second.tally.newest.ts), at->second.tally.newest.ts);
      }
    }
    return newest;
  }

  Result<std::int64_t> prune_older_than(const LedgerKey& key, WallTime cutoff) override {
    const std::lock_guard lock(mutex_);
    const auto known = ledgers_.find(key.agent.path);
    if (known == ledgers_.end()) {
      return 0;
    }
    MemoryHours hours(known->second);
    std::int64_t total = 0;
    std::int64_t deleted = kRowsAtOnce;
    while (deleted >= kRowsAtOnce) {
      deleted = prune_hours(hours, cutoff, most_guess(key));
      total += deleted;
    }
    return total;
  }

  Result<RateLimitReport> rate_limit_report(const LedgerKey& key, WallTime since) override {
    const std::lock_guard lock(mutex_);
    const Ledger& ledger = to_read(key);
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
    const EventTable& events = to_read(key).events;
    const auto known = events.ids.find(id);
    return known == events.ids.end() ? std::nullopt : std::optional(events.rows.at({known->second, id}));
  }

  Result<Activity> activity(const LedgerKey& key, WallTime since, WallTime until) override {
    Activity activity;
    if (until <= since) {
      return activity;
    }
    const std::lock_guard lock(mutex_);
    Ledger& ledger = to_read(key);
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
    return to_read(key).marks;
  }

  Result<EventsElsewhere> events_elsewhere(const LedgerKey& /*key*/,
                                           const std::optional<ReadMark>& /*after*/) override {
    return EventsElsewhere{};
  }

  [[nodiscard]] LedgerStanding standing(const LedgerKey& /*key*/, WallTime /*now*/) override { return memory(); }

  void release(const LedgerKey& key) override {
    const std::lock_guard lock(mutex_);
    if (!ledgers_.contains(key.agent.path)) {
      return;
    }
    std::erase(gone_, key.agent.path);
    gone_.push_back(key.agent.path);
    if (gone_.size() > kMostGone) {
      ledgers_.erase(gone_.front());
      gone_.pop_front();
    }
  }

 private:
  void keep_newest(Ledger& ledger, MemoryHours& hours, const LedgerKey& key) const {
    if (ledger.samples.size() > most_rows_) {
      const auto too_many = static_cast<std::ptrdiff_t>(ledger.samples.size() - most_rows_);
      for (auto row = std::prev(ledger.samples.end(), too_many); row != ledger.samples.end(); ++row) {
        if (!ledger.hours.contains({hour_of(row->first.ts), row->first.source})) {
          roll_hour_of(hours, row->first.ts, most_guess(key), Then::prune_a_part);
        }
      }
      hours.remove_rows(WallTime::max(), too_many);
    }
    while (ledger.hours.size() > most_rows_) {
      hours.remove_rollups(day_of(ledger.hours.begin()->first.first) + kDay);
    }
  }

  /// Of an agent that nobody wrote for: the empty one. If reading made one, none would ever remove it, since only what
  /// was written is released.
  Ledger& to_read(const LedgerKey& key) {
    const auto known = ledgers_.find(key.agent.path);
    return known == ledgers_.end() ? unwritten_ : known->second;
  }

  /// Nobody else writes here.
  static LedgerStanding memory() { return {.place = "memory", .central_since = {}, .other_sampler = {}}; }

  const std::size_t most_rows_;
  std::mutex mutex_;
  std::map<std::string, Ledger> ledgers_;  ///< by the agent's path
  Ledger unwritten_;                       ///< stays empty
  std::deque<std::string> gone_;           ///< released, the first of them first
};

}  // namespace

Result<std::unique_ptr<LedgerStore>> open_memory_store(const StoreOptions& options) {
  return std::unique_ptr<LedgerStore>(std::make_unique<MemoryStore>(options.rows_per_ledger));
}

}  // namespace fleetledger
