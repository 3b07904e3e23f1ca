#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "backends/backends.h"
#include "core/ledger_store.h"
#include "tests/backends/ledgers.h"

namespace fleetledger::test {
namespace {

using Catch::Matchers::Contains;

constexpr std::int64_t kHour = 3'600'000;
constexpr LedgerLocation kLocations[] = {LedgerLocation::agent, LedgerLocation::central};

/// Calls `check(store, ledger)` with a fresh store of every backend, and every location.
template <typename Check>
void with_every_backend(const Check& check) {
  for (const Backend& backend : backends()) {
    for (const LedgerLocation location : kLocations) {
      DYNAMIC_SECTION(backend.name << ", " << to_string(location)) {
        const Host host;
        const auto store = host.store(backend.name);
        check(*store, with_no_other_sampler(host.agent("echo", location)));
      }
    }
  }
}

std::vector<std::int64_t> times(const std::vector<Sample>& samples) {
  std::vector<std::int64_t> result;
  for (const Sample& one : samples) {
    result.push_back(one.ts.time_since_epoch().count());
  }
  return result;
}

TEST_CASE("an unknown backend's error lists those that there are") {
  const auto opened = open_store("sqlight", {});
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().kind == Error::Kind::invalid);
  CHECK_THAT(opened.error().text, Contains("sqlight"));
  for (const Backend& backend : backends()) {
    CHECK_THAT(opened.error().text, Contains(std::string(backend.name)));
  }
}

TEST_CASE("a ledger that does not exist reads as an empty one and is not made by it") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    CHECK(must(store.summary(ledger, at(0))).sources.empty());
    CHECK(must(store.summary(ledger, at(0))).sample_count == 0);
    CHECK(must(store.recent_samples(ledger, {})).empty());
    CHECK(must(store.trend(ledger, {.since = at(0), .until = at(kNoon)})).empty());
    CHECK(must(store.sample_count(ledger)) == 0);
    CHECK(must(store.newest_sample(ledger)) == std::nullopt);
    CHECK(must(store.prune_older_than(ledger, at(kNoon))) == 0);
    CHECK(must(store.rate_limit_report(ledger, at(0))).total == 0);
    CHECK(must(store.rate_limit_event(ledger, "x")) == std::nullopt);
    CHECK(must(store.activity(ledger, at(0), at(kNoon))).sources.empty());
    CHECK(must(store.read_marks(ledger)).empty());
    CHECK(must(store.events_elsewhere(ledger, std::nullopt)).events.empty());
    store.release(ledger);
    CHECK_FALSE(std::filesystem::exists(place_of(store, ledger)));
  });
}

TEST_CASE("a sample is read back as it was written, with all that is known and all that is not") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    Sample full = sample(kNoon, "agent-server", 12.25, 987'654'321'012);
    full.heap = Bytes{55};
    full.processes = 4'000'000'000U;
    Sample bare = sample(kNoon, "session:\xC3\xA9t\xC3\xA9 \n' \"x", 0, 0);
    bare.pid = 0;
    bare.usage.reset();
    bare.interval.reset();
    bare.processes.reset();
    must(store.append(ledger, tick({full, bare})));
    const auto rows = must(store.recent_samples(ledger, {}));
    REQUIRE(rows.size() == 2);
    CHECK(rows[0] == full);
    CHECK(rows[1] == bare);
  });
}

TEST_CASE("an event is read back as it was written") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    RateLimitEvent full = event(kNoon, 1, "throttle", "session-sentinel");
    full.account_key = "me@example.org";
    full.session_name = "build";
    full.reason = "";
    full.detail = "half\nof it";
    const RateLimitEvent bare = event(kNoon + 1, 2);
    must(store.append(ledger, tick({}, {full, bare})));
    const auto report = must(store.rate_limit_report(ledger, at(0)));
    REQUIRE(report.events.size() == 2);
    CHECK(report.events[0] == bare);
    CHECK(report.events[1] == full);
  });
}

TEST_CASE("a taken millisecond moves a sample to the next free one of its source and moves no other source") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kNoon, "a", 1), sample(kNoon, "b", 1)})));
    must(store.append(ledger, tick({sample(kNoon, "a", 2), sample(kNoon, "a", 3)})));
    must(store.append(ledger, tick({sample(kNoon + 1, "a", 4), sample(kNoon + 1, "b", 5)})));
    SampleQuery query;
    query.source = "a";
    const auto rows = must(store.recent_samples(ledger, query));
    REQUIRE(times(rows) == std::vector<std::int64_t>{kNoon + 3, kNoon + 2, kNoon + 1, kNoon});
    CHECK(rows[0].cpu_percent == 4);
    CHECK(rows[1].cpu_percent == 3);
    CHECK(rows[2].cpu_percent == 2);
    CHECK(rows[3].cpu_percent == 1);
    query.source = "b";
    CHECK(times(must(store.recent_samples(ledger, query))) == std::vector<std::int64_t>{kNoon + 1, kNoon});
  });
}

TEST_CASE("after the wall clock was set back by a day samples keep the times they came with") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    constexpr std::int64_t kDay = 86'400'000;
    must(store.append(ledger, tick({sample(kNoon, "a")})));
    must(store.append(ledger, tick({sample(kNoon - kDay, "a")})));
    must(store.append(ledger, tick({sample(kNoon - kDay + 60'000, "a")})));
    CHECK(times(must(store.recent_samples(ledger, {}))) ==
          std::vector<std::int64_t>{kNoon, kNoon - kDay + 60'000, kNoon - kDay});
    CHECK(must(store.newest_sample(ledger)) == at(kNoon));
  });
}

TEST_CASE("a summary gives newest, mean and peak of each source in the window and the count of the whole ledger") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kNoon - 1, "old", 99, 99), sample(kNoon - 1, "a", 999, 999'999)})));
    must(store.append(ledger, tick({sample(kNoon, "a", 10, 3000), sample(kNoon, "b", 7, 7)})));
    Sample foreign = sample(kNoon + 5, "a", 30, 1000);
    foreign.usage.reset();
    must(store.append(ledger, tick({foreign})));
    must(store.append(ledger, tick({sample(kNoon + 9, "a", 5, 2000), sample(kNoon + 9, "0", 1, 1)})));
    const auto summary = must(store.summary(ledger, at(kNoon)));
    CHECK(summary.sample_count == 7);
    REQUIRE(summary.sources.size() == 3);
    CHECK(summary.sources[0].source == "0");
    CHECK(summary.sources[1].source == "a");
    CHECK(summary.sources[2].source == "b");
    const SourceSummary& a = summary.sources[1];
    CHECK(a.newest == sample(kNoon + 9, "a", 5, 2000));
    CHECK(a.avg_cpu_percent == Approx(15));
    CHECK(a.peak_cpu_percent == 30);
    CHECK(a.avg_resident == Approx(2000));
    CHECK(a.peak_resident == Bytes{3000});
    CHECK(a.sample_count == 3);
    CHECK(a.usage == Usage{Micros{30'000}});
  });
}

TEST_CASE("recent samples come newest first, by source within a millisecond, from the window and up to the limit") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kNoon, "b"), sample(kNoon, "a"), sample(kNoon - 1, "c")})));
    must(store.append(ledger, tick({sample(kNoon + 1, "b")})));
    const auto sources = [&](const SampleQuery& query) {
      std::string result;
      for (const Sample& row : must(store.recent_samples(ledger, query))) {
        result += row.source;
      }
      return result;
    };
    CHECK(sources({}) == "babc");
    CHECK(sources({.since = at(kNoon)}) == "bab");
    CHECK(sources({.source = "b"}) == "bb");
    CHECK(sources({.since = at(kNoon + 1), .source = "b"}) == "b");
    CHECK(sources({.source = "nobody"}).empty());
    CHECK(sources({.limit = 3}) == "bab");
    CHECK(sources({.limit = 0}).empty());
    CHECK(sources({.limit = -1}).empty());
    CHECK(sources({.source = "b", .limit = 1}) == "b");
  });
}

/// Reads a ledger page by page; `between` is called after each page.
template <typename Between>
std::vector<Sample> read_in_pages(LedgerStore& store, const LedgerKey& ledger, SampleQuery page,
                                  const Between& between) {
  std::vector<Sample> all;
  while (true) {
    const auto rows = must(store.recent_samples(ledger, page));
    REQUIRE(static_cast<std::int64_t>(rows.size()) <= page.limit);
    if (rows.empty()) {
      return all;
    }
    all.insert(all.end(), rows.begin(), rows.end());
    page.before = SampleCursor{rows.back().ts, rows.back().source};
    between();
  }
}

TEST_CASE("pages meet every row once, also where several sources share a time") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    for (const std::int64_t ms : {kNoon, kNoon + 1, kNoon + 1000}) {
      must(store.append(ledger, tick({sample(ms, "a"), sample(ms, "B"), sample(ms, ""), sample(ms, "\xC3\xA9"),
                                      sample(ms + 1, "a b")})));
    }
    for (const std::int64_t size : {1, 2, 7}) {
      for (const std::int64_t since : {std::int64_t{0}, kNoon + 1}) {
        INFO(size << " a page, since " << since);
        const auto all = must(store.recent_samples(ledger, {.since = at(since)}));
        CHECK(all.size() == (since == 0 ? 15 : 11));
        CHECK(read_in_pages(store, ledger, {.since = at(since), .limit = size}, [] {}) == all);
        const auto one = must(store.recent_samples(ledger, {.since = at(since), .source = "a"}));
        CHECK(read_in_pages(store, ledger, {.since = at(since), .source = "a", .limit = size}, [] {}) == one);
      }
    }
    CHECK(must(store.recent_samples(ledger, {.since = at(kNoon), .before = SampleCursor{at(kNoon - 1), "a"}})).empty());
    CHECK(must(store.recent_samples(ledger, {.before = SampleCursor{WallTime::min(), ""}})).empty());
    CHECK(must(store.recent_samples(ledger, {.before = SampleCursor{WallTime::max(), ""}})).size() == 15);
    CHECK(must(store.recent_samples(ledger, {.source = "a", .before = SampleCursor{at(kNoon), "A"}})).size() == 1);
    CHECK(must(store.recent_samples(ledger, {.source = "a", .before = SampleCursor{at(kNoon), "a"}})).empty());
  });
}

TEST_CASE("pages meet every row once while new ones are written and old ones are pruned") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    for (const std::int64_t size : {1, 2, 7}) {
      INFO(size << " a page");
      must(store.prune_older_than(ledger, at(kNoon * 2)));
      const std::int64_t next_hour = (kNoon / kHour + 1) * kHour;
      for (int index = -2; index < 8; ++index) {
        const std::int64_t ts = next_hour + index;
        must(store.append(ledger, tick({sample(ts, "a"), sample(ts, "b"), sample(ts, "c")})));
      }
      const auto there = must(store.recent_samples(ledger, {.since = at(next_hour)}));
      std::int64_t now = next_hour + 8;
      const auto met = read_in_pages(store, ledger, {.limit = size}, [&] {
        must(store.append(ledger, tick({sample(now, "a"), sample(now, "b")})));
        ++now;
        must(store.prune_older_than(ledger, at(next_hour)));
      });
      CHECK(met == there);
    }
  });
}

TEST_CASE("a trend gives least, mean and peak of each bucket and nothing where nothing was measured") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    Sample foreign = sample(kNoon + 20, "a", 30, 1000);
    foreign.usage.reset();
    foreign.interval.reset();
    must(store.append(ledger, tick({sample(kNoon + 99, "b", 3, 5), sample(kNoon + 29, "a", 5, 2000)})));
    must(store.append(ledger, tick({foreign, sample(kNoon + 21, "a", 10, 3000), sample(kNoon, "b", 400, 4)})));
    must(store.append(ledger, tick({sample(kNoon - 1, "a", 999), sample(kNoon + 100, "a", 999)})));
    Sample alone = foreign;
    alone.ts = at(kNoon + 30);
    must(store.append(ledger, tick({alone})));
    const auto trends = must(store.trend(ledger, {.since = at(kNoon), .until = at(kNoon + 100), .buckets = 10}));
    REQUIRE(trends.size() == 2);
    CHECK(trends[0].source == "a");
    REQUIRE(trends[0].buckets.size() == 2);
    const TrendBucket& full = trends[0].buckets[0];
    CHECK(full.start == at(kNoon + 20));
    CHECK(full.rows == 3);
    CHECK(full.min_cpu_percent == 5);
    CHECK(full.avg_cpu_percent == Approx(15));
    CHECK(full.peak_cpu_percent == 30);
    CHECK(full.min_resident == Bytes{1000});
    CHECK(full.avg_resident == Approx(2000));
    CHECK(full.peak_resident == Bytes{3000});
    CHECK(full.usage == Usage{Micros{30'000}});
    CHECK(full.interval == Micros{2'000'000});
    CHECK(trends[0].buckets[1].start == at(kNoon + 30));
    CHECK_FALSE(trends[0].buckets[1].usage.has_value());
    CHECK_FALSE(trends[0].buckets[1].interval.has_value());
    CHECK(trends[1].source == "b");
    REQUIRE(trends[1].buckets.size() == 2);
    CHECK(trends[1].buckets[0].start == at(kNoon));
    CHECK(trends[1].buckets[0].peak_cpu_percent == 400);
    CHECK(trends[1].buckets[1].start == at(kNoon + 90));
    const auto one = must(store.trend(ledger, {at(kNoon), at(kNoon + 100), 10, "b"}));
    REQUIRE(one.size() == 1);
    CHECK(one[0].source == "b");
    CHECK(one[0].buckets.size() == 2);
    CHECK(must(store.trend(ledger, {at(kNoon), at(kNoon + 100), 10, "nobody"})).empty());
    CHECK(must(store.trend(ledger, {.since = at(kNoon + 1), .until = at(kNoon + 20)})).empty());
    CHECK(must(store.trend(ledger, {.since = at(kNoon + 1), .until = at(kNoon + 1)})).empty());
    CHECK(must(store.trend(ledger, {.since = at(kNoon + 50), .until = at(kNoon)})).empty());
  });
}

TEST_CASE("a trend that cannot be cut as it is asked for is refused as invalid") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kNoon, "a")})));
    constexpr std::int64_t kYear10000 = 253'402'300'800'000;
    const TrendQuery widest{.since = at(0), .until = at(kYear10000), .buckets = kMostBuckets};
    CHECK(must(store.trend(ledger, widest)).at(0).buckets.at(0).start == at(kYear10000 * 7 / 1000));
    for (const TrendQuery& query :
         {TrendQuery{at(0), at(kNoon), 0, {}}, TrendQuery{at(0), at(kNoon), -5, {}},
          TrendQuery{at(0), at(kNoon), kMostBuckets + 1, {}}, TrendQuery{at(-1), at(kNoon), 10, {}},
          TrendQuery{at(0), at(kYear10000 + 1), 10, {}}, TrendQuery{WallTime::max(), WallTime::min(), 10, {}}}) {
      const auto refused = store.trend(ledger, query);
      REQUIRE_FALSE(refused.has_value());
      CHECK(refused.error().kind == Error::Kind::invalid);
    }
  });
}

TEST_CASE("pruning deletes the hours before that of the cutoff, alone and with an append, and no event") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kHour - 1, "a"), sample(kHour, "a"), sample(2 * kHour - 1, "b"),
                                    sample(2 * kHour + 1, "a"), sample(2 * kHour + 2, "a")},
                                   {event(1000, 1)})));
    CHECK(must(store.prune_older_than(ledger, at(kHour - 1))) == 0);
    CHECK(must(store.prune_older_than(ledger, at(2 * kHour - 1))) == 1);
    CHECK(must(store.prune_older_than(ledger, at(2 * kHour - 1))) == 0);
    CHECK(must(store.sample_count(ledger)) == 4);
    must(store.append(ledger, {{sample(2 * kHour + 3, "a")}, {}, at(2 * kHour + 2)}));
    CHECK(times(must(store.recent_samples(ledger, {}))) ==
          std::vector<std::int64_t>{2 * kHour + 3, 2 * kHour + 2, 2 * kHour + 1});
    CHECK(must(store.rate_limit_report(ledger, at(0))).total == 1);
  });
}

TEST_CASE("a long arrear of old samples is gone after one prune_older_than") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    AgentTick many;
    for (int index = 0; index < 12'000; ++index) {
      many.samples.push_back(sample(1000 * index, "a"));
    }
    must(store.append(ledger, many));
    CHECK(must(store.prune_older_than(ledger, at(11'000'000))) == 10'800);
    CHECK(must(store.sample_count(ledger)) == 1200);
  });
}

TEST_CASE("of a long arrear a part goes with each tick that prunes, and it is said when some is left") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    AgentTick many;
    for (int index = 0; index < 12'000; ++index) {
      many.samples.push_back(sample(1000 * index, "a"));
    }
    CHECK_FALSE(must(store.append(ledger, many)).more_to_prune);
    AgentTick prune;
    prune.prune_samples_before = at(11'000'000);
    CHECK(must(store.append(ledger, prune)).more_to_prune);
    CHECK(must(store.sample_count(ledger)) == 12'000 - 2 * 3600);
    CHECK_FALSE(must(store.append(ledger, prune)).more_to_prune);
    CHECK(must(store.sample_count(ledger)) == 1200);
  });
}

TEST_CASE("an event with a known id is left as it is, and not said to be new") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    RateLimitEvent first = event(kNoon, 1);
    RateLimitEvent second = first;
    second.kind = "quota";
    using Ids = std::vector<std::string>;
    const RateLimitEvent third = event(kNoon, 3);
    CHECK(must(store.append(ledger, tick({}, {first, second}))).new_events == Ids{first.id});
    CHECK(must(store.append(ledger, tick({}, {second}))).new_events.empty());
    CHECK(must(store.append(ledger, tick({sample(kNoon, "a")}, {third, second}))).new_events == Ids{third.id});
    const auto report = must(store.rate_limit_report(ledger, at(0)));
    REQUIRE(report.events.size() == 2);
    CHECK(std::count(report.events.begin(), report.events.end(), first) == 1);
  });
}

TEST_CASE("a rate-limit report counts all events of the window and lists the newest") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    AgentTick many;
    for (int index = 0; index < 300; ++index) {
      many.events.push_back(event(kNoon + index, index, index % 3 == 0 ? "quota" : "circuit-open"));
    }
    many.events.push_back(event(kNoon - 1, 0));
    must(store.append(ledger, many));
    const auto report = must(store.rate_limit_report(ledger, at(kNoon)));
    CHECK(report.total == 300);
    REQUIRE(report.events.size() == kMostEvents);
    CHECK(report.events.front().ts == at(kNoon + 299));
    CHECK(report.events.back().ts == at(kNoon + 100));
    REQUIRE(report.by_kind.size() == 2);
    CHECK(report.by_kind[0].kind == "circuit-open");
    CHECK(report.by_kind[0].source == "circuit-breaker");
    CHECK(report.by_kind[0].count == 200);
    CHECK(report.by_kind[0].first == at(kNoon + 1));
    CHECK(report.by_kind[0].last == at(kNoon + 299));
    CHECK(report.by_kind[1].count == 100);
  });
}

TEST_CASE("recoveries are kept beside the events and counted nowhere") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    AgentTick written = tick({}, {event(kNoon, 1, "throttle", "session-sentinel")});
    RateLimitEvent recovery = event(kNoon + 9, 1, "throttle-recovered", "session-sentinel");
    recovery.session_name = "build";
    recovery.detail = "after 9 ms";
    written.recoveries = {recovery, event(kNoon - 1, 1, "recovery-reached", "session-sentinel")};
    must(store.append(ledger, written));
    must(store.append(ledger, written));
    const auto report = must(store.rate_limit_report(ledger, at(kNoon)));
    CHECK(report.total == 1);
    CHECK(report.events == written.events);
    REQUIRE(report.by_kind.size() == 1);
    CHECK(report.by_kind[0].kind == "throttle");
    CHECK(report.by_kind[0].count == 1);
    CHECK(report.recoveries == std::vector{recovery});
    CHECK(must(store.rate_limit_report(ledger, at(0))).recoveries.size() == 2);
    CHECK(must(store.rate_limit_event(ledger, recovery.id)) == std::nullopt);
  });
}

TEST_CASE("one event is found by its id, whatever the id is made of") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    RateLimitEvent odd = event(kNoon, 1);
    odd.id = "' OR 1 --\n:\xC3\xA9%2F";
    must(store.append(ledger, tick({}, {odd, event(kNoon, 2)})));
    CHECK(must(store.rate_limit_event(ledger, odd.id)) == odd);
    for (const char* unknown : {"", "x", "circuit-breaker", "' OR 1 --", "circuit-breaker:1790000000000:%"}) {
      CHECK(must(store.rate_limit_event(ledger, unknown)) == std::nullopt);
    }
  });
}

TEST_CASE("marks are read back as they were last written, each source's its own, and a prune leaves them") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    const ReadMark first{1, 2, 3, 4, "memory"};
    const ReadMark large{~std::uint64_t{0}, ~std::uint64_t{0} - 1, std::uint64_t{1} << 40U, ~std::uint64_t{0}, ""};
    const ReadMark later{1, 2, 300, 5, std::string(1024, 'f')};
    AgentTick written = tick({}, {event(kNoon, 1)});
    written.marks = {{"log", first}, {"other", large}};
    must(store.append(ledger, written));
    CHECK(must(store.read_marks(ledger)) == written.marks);
    written.marks = {{"log", later}};
    written.prune_samples_before = written.prune_events_before = written.prune_upstream_events_before = at(2 * kNoon);
    must(store.append(ledger, written));
    store.release(ledger);
    CHECK(must(store.read_marks(ledger)) == ReadMarks{{"log", later}, {"other", large}});
  });
}

TEST_CASE("events that we recorded and those of the agent's server are pruned apart, samples by neither") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    AgentTick written = tick({sample(kNoon, "a")});
    for (const std::int64_t ms : {kNoon, kNoon + 1, kNoon + 2}) {
      written.events.push_back(event(ms, 1, "circuit-open", "circuit-breaker"));
      written.events.push_back(event(ms, 1, "throttle", "session-sentinel"));
      written.recoveries.push_back(event(ms, 2, "throttle-recovered", "session-sentinel"));
    }
    must(store.append(ledger, written));
    const auto left = [&] {
      const auto report = must(store.rate_limit_report(ledger, at(0)));
      std::map<std::string, int> counts{{"recoveries", static_cast<int>(report.recoveries.size())}};
      for (const auto& kind : report.by_kind) {
        counts[kind.source] = static_cast<int>(kind.count);
      }
      return counts;
    };
    using Counts = std::map<std::string, int>;
    AgentTick prune;
    prune.prune_events_before = at(kNoon + 1);
    must(store.append(ledger, prune));
    CHECK(left() == Counts{{"circuit-breaker", 3}, {"session-sentinel", 2}, {"recoveries", 2}});
    prune = {};
    prune.prune_upstream_events_before = at(kNoon + 2);
    must(store.append(ledger, prune));
    CHECK(left() == Counts{{"circuit-breaker", 1}, {"session-sentinel", 2}, {"recoveries", 2}});
    CHECK(must(store.sample_count(ledger)) == 1);
  });
}

TEST_CASE("activity counts each row by the share of its interval that lies in the stretch") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    const auto row = [](std::int64_t ms, std::string source, std::int64_t used_us, std::int64_t interval_ms) {
      Sample made = sample(ms, std::move(source));
      made.usage = Usage{Micros{used_us}};
      made.interval = std::chrono::milliseconds{interval_ms};
      return made;
    };
    Sample foreign = sample(kNoon + 50, "foreign");
    foreign.usage.reset();
    foreign.interval.reset();
    Sample foreign_outside = foreign;
    foreign_outside.source = "foreign, too late";
    foreign_outside.ts = at(kNoon + 101);
    Sample no_length = row(kNoon + 10, "no length", 5, 0);
    must(store.append(ledger,
                      tick({row(kNoon, "ended before", 1000, 50), row(kNoon + 50, "half", 1000, 100),
                            row(kNoon + 100, "half", 2000, 50), row(kNoon + 1000, "around", 10'000, 10'000),
                            row(kNoon + 150, "began after", 1000, 50), foreign, foreign_outside, no_length,
                            row(kNoon + 600'101, "too far", 1000, 700'000),
                            row(kNoon + 599'999, "just near enough", 700'000, 700'000)},
                           {event(kNoon, 1), event(kNoon + 1, 1), event(kNoon + 100, 1), event(kNoon + 101, 1)})));
    const auto activity = must(store.activity(ledger, at(kNoon), at(kNoon + 100)));
    std::map<std::string, std::tuple<std::int64_t, std::int64_t>> got;  // -1: not known
    for (const auto& source : activity.sources) {
      got[source.source] = {source.usage ? source.usage->micros().count() : -1, source.measured.count()};
    }
    CHECK(got == std::map<std::string, std::tuple<std::int64_t, std::int64_t>>{{"half", {2500, 100'000}},
                                                                               {"around", {100, 100'000}},
                                                                               {"just near enough", {100, 100'000}},
                                                                               {"foreign", {-1, 0}},
                                                                               {"no length", {-1, 0}}});
    CHECK(activity.events == std::vector{event(kNoon + 100, 1), event(kNoon + 1, 1)});
    CHECK(must(store.activity(ledger, at(kNoon + 100), at(kNoon + 100))).events.empty());
    CHECK(must(store.activity(ledger, at(kNoon + 100), at(kNoon))).sources.empty());
  });
}

TEST_CASE("agents with one name keep ledgers apart") {
  for (const Backend& backend : backends()) {
    for (const LedgerLocation location : kLocations) {
      DYNAMIC_SECTION(backend.name << ", " << to_string(location)) {
        const Host host;
        const auto store = host.store(backend.name);
        LedgerKey one = host.agent("one", location);
        LedgerKey two = host.agent("two", location);
        one.agent.name = two.agent.name = "echo";
        must(store->append(one, tick({sample(kNoon, "a")})));
        CHECK(must(store->sample_count(two)) == 0);
        must(store->append(two, tick({sample(kNoon, "a"), sample(kNoon, "b")})));
        CHECK(must(store->sample_count(one)) == 1);
        CHECK(must(store->sample_count(two)) == 2);
      }
    }
  }
}

TEST_CASE("a released ledger keeps its rows and can be written again") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kNoon, "a")})));
    store.release(ledger);
    CHECK(must(store.sample_count(ledger)) == 1);
    must(store.append(ledger, tick({sample(kNoon, "a")})));
    CHECK(must(store.sample_count(ledger)) == 2);
  });
}

TEST_CASE("numbers that cannot be meant are kept as 0 and long texts are cut between two characters") {
  with_every_backend([](LedgerStore& store, const LedgerKey& ledger) {
    must(store.append(ledger, tick({sample(kNoon, "nan", std::numeric_limits<double>::quiet_NaN()),
                                    sample(kNoon, "inf", std::numeric_limits<double>::infinity()),
                                    sample(kNoon, "negative", -1, -1)})));
    for (const Sample& row : must(store.recent_samples(ledger, {}))) {
      CHECK(row.cpu_percent == 0);
      CHECK(row.resident.value >= 0);
    }
    std::string long_text(kMostTextBytes - 1, 'x');
    long_text += "\xE2\x82\xAC and more";
    RateLimitEvent wordy = event(kNoon, 1);
    wordy.detail = long_text;
    must(store.append(ledger, tick({sample(kNoon, long_text)}, {wordy})));
    const std::string cut(kMostTextBytes - 1, 'x');
    CHECK(must(store.rate_limit_report(ledger, at(0))).events.at(0).detail == cut);
    CHECK(must(store.recent_samples(ledger, {.source = cut})).size() == 1);
  });
}

TEST_CASE("the memory backend forgets the agents that were gone first, however many come and go") {
  const auto store = *open_store("memory", {});
  const auto key_of = [](int number) {
    const auto name = "agent-" + std::to_string(number);
    return LedgerKey{{name, name, "/" + name}, LedgerLocation::agent};
  };
  for (int i = 0; i < 300; ++i) {
    must(store->append(key_of(i), tick({sample(kNoon, "a")})));
    if (i != 7) {
      store->release(key_of(i));
      store->release(key_of(i));
    }
  }
  store->release({{"unknown", "unknown", "/unknown"}, LedgerLocation::agent});
  CHECK(must(store->sample_count(key_of(0))) == 0);
  CHECK(must(store->sample_count(key_of(199))) == 0);
  for (const int kept : {7, 200, 299}) {
    CHECK(must(store->sample_count(key_of(kept))) == 1);
  }
}

TEST_CASE("the memory backend keeps nothing of agents that were only read, and forgets no other for them") {
  const auto store = *open_store("memory", {});
  const auto key_of = [](const std::string& name) {
    return LedgerKey{{name, name, "/" + name}, LedgerLocation::agent};
  };
  const std::vector<std::pair<std::string, std::function<void(const LedgerKey&)>>> readings{
      {"summary", [&](const LedgerKey& ledger) { must(store->summary(ledger, at(0))); }},
      {"recent_samples", [&](const LedgerKey& ledger) { must(store->recent_samples(ledger, {})); }},
      {"trend", [&](const LedgerKey& ledger) { must(store->trend(ledger, {.since = at(0), .until = at(kNoon)})); }},
      {"sample_count", [&](const LedgerKey& ledger) { must(store->sample_count(ledger)); }},
      {"newest_sample", [&](const LedgerKey& ledger) { must(store->newest_sample(ledger)); }},
      {"prune_older_than", [&](const LedgerKey& ledger) { must(store->prune_older_than(ledger, at(kNoon))); }},
      {"rate_limit_report", [&](const LedgerKey& ledger) { must(store->rate_limit_report(ledger, at(0))); }},
      {"rate_limit_event", [&](const LedgerKey& ledger) { must(store->rate_limit_event(ledger, "x")); }},
      {"activity", [&](const LedgerKey& ledger) { must(store->activity(ledger, at(0), at(kNoon))); }},
      {"read_marks", [&](const LedgerKey& ledger) { must(store->read_marks(ledger)); }},
      {"events_elsewhere", [&](const LedgerKey& ledger) { must(store->events_elsewhere(ledger, std::nullopt)); }},
  };
  for (const auto& [name, read] : readings) {
    CAPTURE(name);
    const auto written = key_of(name);
    must(store->append(written, tick({sample(kNoon, "a")})));
    store->release(written);
    // A released ledger is forgotten for the hundredth one after it, if there is one to release.
    for (int i = 0; i < 200; ++i) {
      const auto only_read = key_of(name + std::to_string(i));
      read(only_read);
      store->release(only_read);
    }
    CHECK(must(store->sample_count(written)) == 1);
  }
}

TEST_CASE("the memory backend keeps the newest rows up to its cap") {
  StoreOptions options;
  options.rows_per_ledger = 10;
  const auto store = must(open_store("memory", options));
  const LedgerKey ledger{{"a-1", "a", "/a"}, LedgerLocation::automatic};
  for (int index = 0; index < 25; ++index) {
    must(store->append(ledger, tick({sample(1000 + index, "a")}, {event(1000 + index, index)})));
  }
  CHECK(must(store->sample_count(ledger)) == 10);
  CHECK(must(store->recent_samples(ledger, {})).back().ts == at(1015));
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 10);
  must(store->append(ledger, tick({}, {event(1000, 0)})));
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 10);
}

/// The trend of one source's rows, newest first, worked out from the edges, bucket by bucket.
std::vector<TrendBucket> trend_of(const std::vector<Sample>& rows, const TrendQuery& query) {
  std::vector<TrendBucket> result;
  const std::int64_t span = (query.until - query.since).count();
  for (std::int64_t index = 0; index < query.buckets; ++index) {
    TrendBucket bucket;
    bucket.start = query.since + std::chrono::milliseconds{index * span / query.buckets};
    const WallTime end = query.since + std::chrono::milliseconds{(index + 1) * span / query.buckets};
    for (const Sample& row : rows) {
      if (row.ts < bucket.start || row.ts >= end) {
        continue;
      }
      const bool first = bucket.rows++ == 0;
      bucket.min_cpu_percent = first ? row.cpu_percent : std::min(bucket.min_cpu_percent, row.cpu_percent);
      bucket.peak_cpu_percent = std::max(bucket.peak_cpu_percent, row.cpu_percent);
      bucket.avg_cpu_percent += row.cpu_percent;
      bucket.min_resident = first ? row.resident : std::min(bucket.min_resident, row.resident);
      bucket.peak_resident = std::max(bucket.peak_resident, row.resident);
      bucket.avg_resident += static_cast<double>(row.resident.value);
      if (row.usage) {
        bucket.usage = bucket.usage.value_or(Usage{}) + *row.usage;
        bucket.interval = bucket.interval.value_or(Micros{0}) + row.interval.value();
      }
    }
    if (bucket.rows > 0) {
      bucket.avg_cpu_percent /= static_cast<double>(bucket.rows);
      bucket.avg_resident /= static_cast<double>(bucket.rows);
      result.push_back(bucket);
    }
  }
  return result;
}

/// A store's trend, compared with the rows of the other one.
void compare_trend(LedgerStore& store, LedgerStore& oracle, const LedgerKey& ledger, const TrendQuery& query) {
  std::map<std::string, std::vector<Sample>> rows;
  for (const Sample& row :
       must(oracle.recent_samples(ledger, {.since = query.since, .source = query.source, .limit = 100'000}))) {
    if (row.ts < query.until) {
      rows[row.source].push_back(row);
    }
  }
  const auto trends = must(store.trend(ledger, query));
  REQUIRE(trends.size() == rows.size());
  auto expected = rows.begin();
  for (const SourceTrend& trend : trends) {
    CHECK(trend.source == expected->first);
    const auto buckets = trend_of(expected->second, query);
    ++expected;
    REQUIRE(trend.buckets.size() == buckets.size());
    for (std::size_t index = 0; index < buckets.size(); ++index) {
      const TrendBucket& got = trend.buckets[index];
      const TrendBucket& wanted = buckets[index];
      CHECK(std::tie(got.start, got.rows, got.min_cpu_percent, got.peak_cpu_percent, got.min_resident,
                     got.peak_resident, got.usage, got.interval) ==
            std::tie(wanted.start, wanted.rows, wanted.min_cpu_percent, wanted.peak_cpu_percent, wanted.min_resident,
                     wanted.peak_resident, wanted.usage, wanted.interval));
      CHECK(got.avg_cpu_percent == Approx(wanted.avg_cpu_percent));
      CHECK(got.avg_resident == Approx(wanted.avg_resident));
    }
  }
}

/// All that a store says of a ledger, compared with what another says.
void compare(LedgerStore& store, LedgerStore& oracle, const LedgerKey& ledger, WallTime since,
             const SampleQuery& query) {
  CHECK(must(store.recent_samples(ledger, query)) == must(oracle.recent_samples(ledger, query)));
  CHECK(must(store.sample_count(ledger)) == must(oracle.sample_count(ledger)));
  CHECK(must(store.newest_sample(ledger)) == must(oracle.newest_sample(ledger)));
  const LedgerSummary summary = must(store.summary(ledger, since));
  const LedgerSummary expected = must(oracle.summary(ledger, since));
  CHECK(summary.sample_count == expected.sample_count);
  REQUIRE(summary.sources.size() == expected.sources.size());
  for (std::size_t index = 0; index < summary.sources.size(); ++index) {
    const SourceSummary& got = summary.sources[index];
    const SourceSummary& wanted = expected.sources[index];
    CHECK(got.source == wanted.source);
    CHECK(got.newest == wanted.newest);
    CHECK(got.avg_cpu_percent == Approx(wanted.avg_cpu_percent));
    CHECK(got.peak_cpu_percent == wanted.peak_cpu_percent);
    CHECK(got.avg_resident == Approx(wanted.avg_resident));
    CHECK(got.peak_resident == wanted.peak_resident);
    CHECK(got.sample_count == wanted.sample_count);
    CHECK(got.usage == wanted.usage);
  }
  const RateLimitReport report = must(store.rate_limit_report(ledger, since));
  const RateLimitReport expected_report = must(oracle.rate_limit_report(ledger, since));
  CHECK(report.events == expected_report.events);
  CHECK(report.recoveries == expected_report.recoveries);
  CHECK(must(store.read_marks(ledger)) == must(oracle.read_marks(ledger)));
  const Activity activity = must(store.activity(ledger, since, since + std::chrono::milliseconds{20}));
  const Activity expected_activity = must(oracle.activity(ledger, since, since + std::chrono::milliseconds{20}));
  CHECK(activity.events == expected_activity.events);
  REQUIRE(activity.sources.size() == expected_activity.sources.size());
  for (std::size_t index = 0; index < activity.sources.size(); ++index) {
    const SourceActivity& got = activity.sources[index];
    const SourceActivity& wanted = expected_activity.sources[index];
    CHECK(std::tie(got.source, got.usage, got.measured) == std::tie(wanted.source, wanted.usage, wanted.measured));
  }
  CHECK(report.total == expected_report.total);
  REQUIRE(report.by_kind.size() == expected_report.by_kind.size());
  for (std::size_t index = 0; index < report.by_kind.size(); ++index) {
    const RateLimitKind& got = report.by_kind[index];
    const RateLimitKind& wanted = expected_report.by_kind[index];
    CHECK(std::tie(got.kind, got.source, got.count, got.first, got.last) ==
          std::tie(wanted.kind, wanted.source, wanted.count, wanted.first, wanted.last));
  }
}

/// Random ticks within a few seconds, so that times collide, clocks go back and pruning hits.
class RandomLife {
 public:
  explicit RandomLife(unsigned seed) : random_(seed) {}

  std::int64_t number(std::int64_t from, std::int64_t to) {
    return std::uniform_int_distribution<std::int64_t>(from, to)(random_);
  }
  std::int64_t time() { return kNoon + number(0, 60); }
  std::string source() {
    static const std::vector<std::string> kSources{
        "agent-server", "aggregate", "orphans", "session:a", "session:B", "session:\xC3\xA9", "session:a b", "", "'"};
    return kSources[static_cast<std::size_t>(number(0, static_cast<std::int64_t>(kSources.size()) - 1))];
  }
  Sample a_sample() {
    Sample made = sample(time(), source(), static_cast<double>(number(0, 4000)) / 8, number(0, 1LL << 40));
    made.pid = static_cast<Pid>(number(0, 1 << 22));
    if (number(0, 2) == 0) {
      made.heap = Bytes{number(0, 1 << 30)};
    }
    if (number(0, 3) == 0) {
      made.usage.reset();
      made.interval.reset();
      made.processes.reset();
    }
    return made;
  }
  RateLimitEvent an_event() {
    static const std::vector<std::string> kKinds{"circuit-open", "circuit-recover", "throttle", "quota", "529"};
    const auto kind = kKinds[static_cast<std::size_t>(number(0, 4))];
    RateLimitEvent made =
        event(time(), static_cast<int>(number(0, 3)), kind, number(0, 1) == 0 ? "circuit-breaker" : "session-sentinel");
    if (number(0, 1) == 0) {
      made.session_name = source();
      made.reason = "because";
    }
    return made;
  }
  AgentTick a_tick() {
    AgentTick made;
    for (auto count = number(0, 6); count > 0; --count) {
      made.samples.push_back(a_sample());
    }
    for (auto count = number(0, 2); count > 0; --count) {
      made.events.push_back(an_event());
    }
    if (number(0, 9) == 0) {
      made.prune_samples_before = at(kNoon + number(0, 20));
      made.prune_events_before = at(kNoon + number(0, 20));
    }
    if (number(0, 9) == 0) {
      made.prune_upstream_events_before = at(kNoon + number(0, 20));
    }
    if (number(0, 3) == 0) {
      made.recoveries.push_back(an_event());
      made.marks[source()] = {1, 2, static_cast<std::uint64_t>(number(0, 1 << 20)), 3, source()};
    }
    return made;
  }
  SampleQuery a_query() {
    SampleQuery query;
    query.since = number(0, 3) == 0 ? at(0) : at(time());
    if (number(0, 1) == 0) {
      query.source = source();
    }
    query.limit = number(-1, 40);
    if (number(0, 1) == 0) {
      query.before = SampleCursor{at(time()), source()};
    }
    return query;
  }
  TrendQuery a_trend() {
    TrendQuery query;
    query.since = at(time() - number(0, 10));
    query.until = at(time() + number(0, 10));
    query.buckets = number(0, 5) == 0 ? number(1, kMostBuckets) : number(1, 30);
    if (number(0, 2) == 0) {
      query.source = source();
    }
    return query;
  }

 private:
  std::mt19937 random_;
};

TEST_CASE("through a random life every backend says what the memory backend says") {
  for (const Backend& backend : backends()) {
    for (const unsigned seed : {1U, 2U, 3U}) {
      DYNAMIC_SECTION(backend.name << ", seed " << seed) {
        const Host host;
        StoreOptions options = host.options();
        options.open_ledgers = 2;
        const auto store = must(backend.open(options));
        const auto oracle = must(open_store("memory", host.options()));
        const std::vector<LedgerKey> ledgers{with_no_other_sampler(host.agent("a")),
                                             with_no_other_sampler(host.agent("b", LedgerLocation::central)),
                                             with_no_other_sampler(host.agent("c", LedgerLocation::automatic))};
        RandomLife life(seed);
        for (int step = 0; step < 300; ++step) {
          const LedgerKey& ledger = ledgers[static_cast<std::size_t>(life.number(0, 2))];
          switch (life.number(0, 9)) {
            case 0: {
              const auto cutoff = at(kNoon + life.number(0, 20));
              CHECK(must(store->prune_older_than(ledger, cutoff)) == must(oracle->prune_older_than(ledger, cutoff)));
              break;
            }
            case 1:
              store->release(ledger);
              break;
            case 2:
            case 3:
              compare(*store, *oracle, ledger, at(life.time()), life.a_query());
              compare_trend(*store, *oracle, ledger, life.a_trend());
              break;
            default: {
              const AgentTick one = life.a_tick();
              must(store->append(ledger, one));
              must(oracle->append(ledger, one));
            }
          }
        }
        for (const LedgerKey& ledger : ledgers) {
          compare(*store, *oracle, ledger, at(0), {.limit = 100'000});
          compare_trend(*store, *oracle, ledger, {.since = at(kNoon), .until = at(kNoon + 61), .buckets = 7});
        }
      }
    }
  }
}

TEST_CASE("agents are written and read by many threads at once and every read sees whole ticks") {
  for (const Backend& backend : backends()) {
    DYNAMIC_SECTION(backend.name) {
      const Host host;
      StoreOptions options = host.options();
      options.open_ledgers = 2;  // fewer than agents: some ledgers are opened and closed all the time
      const auto store = must(backend.open(options));
      constexpr int kAgents = 4;
      constexpr int kTicks = 60;
      std::vector<LedgerKey> ledgers;
      for (int index = 0; index < kAgents; ++index) {
        ledgers.push_back(host.agent("agent" + std::to_string(index)));
      }
      std::atomic<int> torn = 0;
      std::atomic<int> failed = 0;
      std::atomic<int> writing = kAgents;
      std::vector<std::thread> threads;
      for (const LedgerKey& ledger : ledgers) {
        threads.emplace_back([&store, &failed, &writing, &ledger] {
          for (int index = 0; index < kTicks;) {
            const auto done = store->append(ledger, tick({sample(kNoon + index, "a"), sample(kNoon + index, "b")}));
            if (done) {
              ++index;
            } else if (done.error().kind != Error::Kind::busy) {
              ++failed;
              break;
            }
          }
          --writing;
        });
      }
      for (int reader = 0; reader < 2; ++reader) {
        threads.emplace_back([&] {
          while (writing > 0) {
            for (const LedgerKey& ledger : ledgers) {
              const auto summary = store->summary(ledger, at(0));
              if (!summary) {
                failed += summary.error().kind != Error::Kind::busy;
                continue;
              }
              std::set<std::int64_t> counts;
              for (const SourceSummary& source : summary->sources) {
                counts.insert(source.sample_count);
              }
              torn += counts.size() > 1 || summary->sample_count % 2 != 0;
            }
          }
        });
      }
      for (std::thread& thread : threads) {
        thread.join();
      }
      CHECK(torn == 0);
      CHECK(failed == 0);
      for (const LedgerKey& ledger : ledgers) {
        CHECK(must(store->sample_count(ledger)) == 2 * kTicks);
      }
    }
  }
}

}  // namespace
}  // namespace fleetledger::test
