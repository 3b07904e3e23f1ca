#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "backends/backends.h"
#include "tests/backends/ledgers.h"

// What a ledger says of hours that are rolled, of every backend.

namespace fleetledger::test {
namespace {

constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
/// Midnight of some day.
constexpr std::int64_t kMidnight = kNoon / kDay * kDay;

/// Calls `check(store, ledger)` with a fresh store of every backend, and a ledger in which rows without an interval
/// are no sign of another sampler.
template <typename Check>
void with_every_backend(const Check& check) {
  for (const Backend& backend : backends()) {
    DYNAMIC_SECTION(backend.name) {
      const Host host;
      const auto store = host.store(backend.name);
      check(*store, host.agent("echo", LedgerLocation::central));
    }
  }
}

Sample row(std::int64_t ms, const std::string& source, double percent, std::int64_t interval_ms) {
  Sample made = sample(ms, source, percent);
  made.interval = Micros{interval_ms * 1000};
  made.usage = Usage{Micros{static_cast<std::int64_t>(percent * static_cast<double>(interval_ms) * 10)}};
  return made;
}

Sample foreign(std::int64_t ms, const std::string& source, double percent) {
  Sample made = sample(ms, source, percent);
  made.usage.reset();
  made.interval.reset();
  made.processes.reset();
  return made;
}

SourceSummary summary_of(LedgerStore& store, const LedgerKey& ledger, std::int64_t since, const std::string& source) {
  for (SourceSummary& found : must(store.summary(ledger, at(since))).sources) {
    if (found.source == source) {
      return found;
    }
  }
  return {};
}

TEST_CASE("an hour at 80 % sampled each minute and an idle one sampled each five minutes are 40 % by time") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    const auto check = [&] {
      const SourceSummary found = summary_of(store, ledger, kMidnight, "a");
      CHECK(found.sample_count == 72);
      CHECK(found.avg_cpu_percent == Approx(66.6667));
      CHECK(found.time_weighted_cpu_percent.value() == Approx(40));
      CHECK(found.usage == Usage{std::chrono::minutes{48}});
      CHECK(found.estimated == Estimate{});
      CHECK(found.peak_cpu_percent == 80);
      CHECK(found.newest == row(kMidnight + 2 * kHour - 1, "a", 0, 5 * kMinute));
    };
    AgentTick written;
    for (int minute = 1; minute <= 60; ++minute) {
      written.samples.push_back(row(kMidnight + minute * kMinute - 1, "a", 80, kMinute));
    }
    for (int minute = 65; minute <= 120; minute += 5) {
      written.samples.push_back(row(kMidnight + minute * kMinute - 1, "a", 0, 5 * kMinute));
    }
    must(store.append(ledger, written));
    check();
    must(store.append(ledger, tick({row(kMidnight + 3 * kHour, "b", 1, kMinute)})));  // rolls
    check();
    must(store.prune_older_than(ledger, at(kMidnight + kHour)));
    check();
    CHECK(must(store.sample_count(ledger)) == 13);
    must(store.prune_older_than(ledger, at(kMidnight + 3 * kHour)));
    check();
    CHECK(must(store.sample_count(ledger)) == 1);
    CHECK(must(store.newest_sample(ledger)) == at(kMidnight + 3 * kHour));
    must(store.prune_older_than(ledger, at(kMidnight + kDay)));
    CHECK(must(store.newest_sample(ledger)) == at(kMidnight + 3 * kHour));
  });
}

TEST_CASE("rows of other samplers are guessed to last since the row before, two periods at most, and it is said") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    const auto check = [&] {
      const SourceSummary found = summary_of(store, ledger, kMidnight, "a");
      CHECK(found.sample_count == 5);
      CHECK(found.usage == Usage{std::chrono::seconds{6}});
      // The first one has none before; 50 % of a minute, 10 % of ten minutes, 20 % of a minute.
      CHECK(found.estimated == Estimate{Usage{std::chrono::seconds{30 + 60 + 12}}, std::chrono::minutes{12}});
      CHECK(found.time_weighted_cpu_percent.value() == Approx(100.0 * 108 / 780));
      CHECK(found.avg_cpu_percent == Approx((90 + 50 + 10 + 10 + 20) / 5.0));
    };
    must(store.append(
        ledger, tick({foreign(kMidnight + 57 * kMinute, "a", 90), foreign(kMidnight + 58 * kMinute, "a", 50),
                      foreign(kMidnight + 90 * kMinute, "a", 10), row(kMidnight + 119 * kMinute, "a", 10, kMinute),
                      foreign(kMidnight + 120 * kMinute, "a", 20)})));
    check();
    for (const int hour : {4, 5, 6}) {
      must(store.append(ledger, tick({row(kMidnight + hour * kHour, "b", 1, kMinute)})));
      must(store.prune_older_than(ledger, at(kMidnight + (hour - 3) * kHour)));
      check();
    }
    CHECK(must(store.sample_count(ledger)) == 3);
    const auto trend = must(store.trend(ledger, {at(kMidnight), at(kMidnight + 3 * kHour), 3, "a"}));
    REQUIRE(trend.at(0).buckets.size() == 3);
    CHECK(trend[0].buckets[0].estimated == Estimate{Usage{std::chrono::seconds{30}}, std::chrono::minutes{1}});
    CHECK_FALSE(trend[0].buckets[0].usage.has_value());
    CHECK(trend[0].buckets[1].usage == Usage{std::chrono::seconds{6}});
    CHECK(trend[0].buckets[2].estimated == Estimate{Usage{std::chrono::seconds{12}}, std::chrono::minutes{1}});
  });
}

TEST_CASE("an hour whose rows are gone is one point of a trend, however short the buckets are") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    AgentTick written;
    for (int minute = 1; minute < 180; minute += 10) {
      written.samples.push_back(row(kMidnight + minute * kMinute, "a", minute, 10 * kMinute));
    }
    must(store.append(ledger, written));
    must(store.append(ledger, tick({row(kMidnight + 4 * kHour, "b", 1, kMinute)})));
    const TrendQuery quarters{at(kMidnight + 30 * kMinute), at(kMidnight + 3 * kHour), 10, "a"};
    const auto starts = [&] {
      std::vector<std::int64_t> minutes;
      const auto trends = must(store.trend(ledger, quarters));
      for (const auto& bucket : trends.at(0).buckets) {
        minutes.push_back((bucket.start.time_since_epoch().count() - kMidnight) / kMinute);
      }
      return minutes;
    };
    CHECK(starts() == std::vector<std::int64_t>{30, 45, 60, 75, 90, 105, 120, 135, 150, 165});
    must(store.prune_older_than(ledger, at(kMidnight + 2 * kHour)));
    CHECK(starts() == std::vector<std::int64_t>{30, 60, 120, 135, 150, 165});
    const auto buckets = must(store.trend(ledger, quarters)).at(0).buckets;
    CHECK(buckets[0].rows == 6);
    CHECK(buckets[0].interval == std::chrono::hours{1});
    CHECK(buckets[1].rows == 6);
    CHECK(buckets[1].min_cpu_percent == 61);
    CHECK(buckets[1].avg_cpu_percent == Approx(86));
    CHECK(buckets[1].peak_cpu_percent == 111);
    // A window that begins after the hour's last row has nothing of it, one that begins before has all of it.
    CHECK(must(store.summary(ledger, at(kMidnight + 52 * kMinute))).sources.back().sample_count == 12);
    CHECK(must(store.summary(ledger, at(kMidnight + 51 * kMinute))).sources.back().sample_count == 18);
  });
}

TEST_CASE("rollups are kept for as long as it is said, a day at a time, and never go before their rows") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    for (int day = 0; day < 6; ++day) {
      must(store.append(ledger, tick({row(kMidnight + day * kDay + kHour, "a", 10, kMinute)})));
    }
    must(store.prune_older_than(ledger, at(kMidnight + 3 * kDay)));
    AgentTick prune = tick({row(kMidnight + 6 * kDay, "a", 10, kMinute)});
    prune.prune_rollups_before = at(kMidnight + 2 * kDay + 5 * kHour);
    must(store.append(ledger, prune));
    CHECK(summary_of(store, ledger, 0, "a").sample_count == 6);
    for (int round = 1; round < 10; ++round) {
      prune.samples = {row(kMidnight + 6 * kDay + round * kMinute, "b", 10, kMinute)};
      prune.prune_rollups_before = at(kMidnight + (round < 3 ? 2 : 7) * kDay);
      must(store.append(ledger, prune));
    }
    CHECK(summary_of(store, ledger, 0, "a").sample_count == 4);  // days 3, 4 and 5 have their rows, and today
    CHECK(must(store.sample_count(ledger)) == 4 + 9);
  });
}

/// Years of a ledger in a moment: clocks that step, rows that come late, retention.
class Life {
 public:
  explicit Life(unsigned seed) : random_(seed) {}

  std::int64_t number(std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random_);
  }

  AgentTick next() {
    now_ += number(1, 10) * kMinute + number(0, 999);
    if (number(0, 40) == 0) {
      now_ += number(-5 * kDay, 5 * kDay);
    }
    if (number(0, 60) == 0) {
      now_ += number(0, 30) * kHour;  // it was switched off
    }
    AgentTick made;
    for (const char* source : {"agent-server", "session:a", "session:b", "aggregate"}) {
      if (number(0, 3) != 0) {
        add(made, now_, source);
      }
    }
    if (number(0, 10) == 0) {
      add(made, now_ - number(0, 6 * kDay), "session:late");
      add(made, now_ - number(0, 2 * kDay), "session:a");
    }
    if (number(0, 4) != 0) {
      made.prune_samples_before = at(now_ - 2 * kDay);
    }
    return made;
  }

  /// The beginning of an hour near the rows.
  std::int64_t an_hour() { return (now_ - number(-2 * kDay, 8 * kDay)) / kHour * kHour; }
  std::int64_t any_time() { return now_ - number(-kDay, 8 * kDay); }

  [[nodiscard]] const std::vector<Sample>& rows() const { return rows_; }

 private:
  void add(AgentTick& tick, std::int64_t ts, const std::string& source) {
    while (!taken_.insert({ts, source}).second) {
      ++ts;
    }
    Sample made = row(ts, source, static_cast<double>(number(0, 3200)) / 8, number(1, 600'000));
    made.resident = Bytes{number(0, 1LL << 40)};
    made.usage = Usage{Micros{number(0, 1LL << 40)}};
    if (number(0, 7) == 0) {
      made.heap = Bytes{number(0, 1 << 30)};
    }
    if (number(0, 5) == 0) {
      made = foreign(ts, source, made.cpu_percent);
    }
    rows_.push_back(made);
    tick.samples.push_back(std::move(made));
  }

  std::mt19937 random_;
  std::int64_t now_ = kMidnight;
  std::set<std::pair<std::int64_t, std::string>> taken_;
  std::vector<Sample> rows_;
};

/// What rows come to, added up one by one.
struct Sum {
  std::int64_t rows = 0;
  double cpu = 0;
  double peak_cpu = 0;
  double resident = 0;
  Bytes peak_resident;
  Usage usage;
  Micros interval{0};
  Sample newest;

  void add(const Sample& sample) {
    ++rows;
    cpu += sample.cpu_percent;
    peak_cpu = std::max(peak_cpu, sample.cpu_percent);
    resident += static_cast<double>(sample.resident.value);
    peak_resident = std::max(peak_resident, sample.resident);
    usage += sample.usage.value_or(Usage{});
    interval += sample.interval.value_or(Micros{0});
    newest = rows == 1 || sample.ts > newest.ts ? sample : newest;
  }
};

/// All rows that ever were, whatever of them is still in the ledger.
void check_summary(LedgerStore& store, const LedgerKey& ledger, const std::vector<Sample>& rows, std::int64_t since) {
  std::map<std::string, Sum> sums;
  for (const Sample& sample : rows) {
    if (sample.ts >= at(since)) {
      sums[sample.source].add(sample);
    }
  }
  const auto summary = must(store.summary(ledger, at(since)));
  REQUIRE(summary.sources.size() == sums.size());
  for (const SourceSummary& got : summary.sources) {
    const Sum& wanted = sums.at(got.source);
    const auto count = static_cast<double>(wanted.rows);
    INFO(got.source << " since " << since);
    CHECK(std::tie(got.sample_count, got.peak_cpu_percent, got.peak_resident, got.usage, got.newest) ==
          std::tie(wanted.rows, wanted.peak_cpu, wanted.peak_resident, wanted.usage, wanted.newest));
    CHECK(got.avg_cpu_percent == Approx(wanted.cpu / count).epsilon(1e-9));
    CHECK(got.avg_resident == Approx(wanted.resident / count).epsilon(1e-9));
  }
}

void check_trend(LedgerStore& store, const LedgerKey& ledger, const std::vector<Sample>& rows, std::int64_t since,
                 std::int64_t buckets, std::int64_t hours) {
  const std::int64_t width = hours * kHour;
  std::map<std::pair<std::string, std::int64_t>, Sum> sums;
  for (const Sample& sample : rows) {
    const std::int64_t offset = sample.ts.time_since_epoch().count() - since;
    if (offset >= 0 && offset < buckets * width) {
      sums[{sample.source, offset / width}].add(sample);
    }
  }
  std::size_t found = 0;
  for (const auto& trend : must(store.trend(ledger, {at(since), at(since + buckets * width), buckets, {}}))) {
    for (const TrendBucket& got : trend.buckets) {
      const Sum& wanted = sums.at({trend.source, (got.start.time_since_epoch().count() - since) / width});
      INFO(trend.source << " since " << since << " at " << got.start.time_since_epoch().count());
      CHECK(std::tie(got.rows, got.peak_cpu_percent, got.peak_resident) ==
            std::tie(wanted.rows, wanted.peak_cpu, wanted.peak_resident));
      CHECK(got.usage.value_or(Usage{}) == wanted.usage);
      CHECK(got.interval.value_or(Micros{0}) == wanted.interval);
      CHECK(got.avg_cpu_percent == Approx(wanted.cpu / static_cast<double>(wanted.rows)).epsilon(1e-9));
      ++found;
    }
  }
  CHECK(found == sums.size());
}

/// What has no such simple truth: windows that cut hours, and guesses.
void compare(LedgerStore& store, LedgerStore& oracle, const LedgerKey& ledger, std::int64_t since, std::int64_t until,
             std::int64_t buckets) {
  CHECK(must(store.sample_count(ledger)) == must(oracle.sample_count(ledger)));
  CHECK(must(store.newest_sample(ledger)) == must(oracle.newest_sample(ledger)));
  CHECK(must(store.recent_samples(ledger, {.since = at(since)})) ==
        must(oracle.recent_samples(ledger, {.since = at(since)})));
  const auto left = must(store.summary(ledger, at(since)));
  const auto right = must(oracle.summary(ledger, at(since)));
  REQUIRE(left.sources.size() == right.sources.size());
  for (std::size_t index = 0; index < left.sources.size(); ++index) {
    const SourceSummary& got = left.sources[index];
    const SourceSummary& wanted = right.sources[index];
    CHECK(std::tie(got.source, got.sample_count, got.usage, got.estimated, got.newest, got.peak_cpu_percent) ==
          std::tie(wanted.source, wanted.sample_count, wanted.usage, wanted.estimated, wanted.newest,
                   wanted.peak_cpu_percent));
    CHECK(got.time_weighted_cpu_percent.value_or(-1) == Approx(wanted.time_weighted_cpu_percent.value_or(-1)));
  }
  const TrendQuery query{at(since), at(until), buckets, {}};
  const auto trends = must(store.trend(ledger, query));
  const auto expected = must(oracle.trend(ledger, query));
  REQUIRE(trends.size() == expected.size());
  for (std::size_t index = 0; index < trends.size(); ++index) {
    REQUIRE(trends[index].buckets.size() == expected[index].buckets.size());
    for (std::size_t bucket = 0; bucket < trends[index].buckets.size(); ++bucket) {
      const TrendBucket& got = trends[index].buckets[bucket];
      const TrendBucket& wanted = expected[index].buckets[bucket];
      CHECK(std::tie(got.start, got.rows, got.usage, got.interval, got.estimated, got.min_cpu_percent,
                     got.min_resident) == std::tie(wanted.start, wanted.rows, wanted.usage, wanted.interval,
                                                   wanted.estimated, wanted.min_cpu_percent, wanted.min_resident));
    }
  }
}

TEST_CASE("through a random life of weeks no row is lost or counted twice by what is rolled and pruned") {
  for (const Backend& backend : backends()) {
    for (const unsigned seed : {1U, 2U, 3U, 4U}) {
      DYNAMIC_SECTION(backend.name << ", seed " << seed) {
        const Host host;
        const auto store = host.store(backend.name);
        const auto oracle = host.store("memory");
        const LedgerKey ledger = host.agent("echo", LedgerLocation::central);
        Life life(seed);
        for (int step = 0; step < 1500; ++step) {
          const AgentTick tick = life.next();
          must(store->append(ledger, tick));
          must(oracle->append(ledger, tick));
          if (step % 100 == 99) {
            store->release(ledger);
          }
          if (step % 50 == 49) {
            check_summary(*store, ledger, life.rows(), life.an_hour());
            check_summary(*store, ledger, life.rows(), 0);
            check_trend(*store, ledger, life.rows(), life.an_hour(), life.number(1, 80), life.number(1, 30));
            const std::int64_t since = life.any_time();
            compare(*store, *oracle, ledger, since, since + life.number(1, 9 * kDay), life.number(1, 300));
          }
        }
        CHECK(must(store->sample_count(ledger)) < static_cast<std::int64_t>(life.rows().size()) / 2);
      }
    }
  }
}

}  // namespace
}  // namespace fleetledger::test
