#include "backends/sqlite/summary_cache.h"

#include <fcntl.h>
#include <random>
#include <sys/stat.h>

#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/plain_sqlite.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

LedgerSummary counted(std::int64_t rows) {
  LedgerSummary summary;
  summary.sample_count = rows;
  return summary;
}

LedgerRest rest(std::int64_t modified) { return {.file = {1, 2, 3, modified}, .wal = {}, .no_journal = true}; }

/// Sets the file's times to a moment long past that no file of this test had before, as if it had rested since.
void let_rest(const std::string& file) {
  static std::int64_t moment = 1'600'000'000;
  const timespec then{moment++, 0};
  const timespec times[] = {then, then};
  for (const char* suffix : {"", "-wal"}) {
    ::utimensat(AT_FDCWD, (file + suffix).c_str(), times, 0);
  }
}

void check_same(const LedgerSummary& found, const LedgerSummary& expected) {
  REQUIRE(found.sample_count == expected.sample_count);
  REQUIRE(found.sources.size() == expected.sources.size());
  for (std::size_t i = 0; i < found.sources.size(); ++i) {
    const auto& left = found.sources[i];
    const auto& right = expected.sources[i];
    CHECK(left.newest == right.newest);
    CHECK(left.sample_count == right.sample_count);
    CHECK(left.avg_cpu_percent == Approx(right.avg_cpu_percent));
    CHECK(left.peak_cpu_percent == right.peak_cpu_percent);
    CHECK(left.peak_resident == right.peak_resident);
    CHECK(left.usage == right.usage);
  }
}

}  // namespace

TEST_CASE("a summary is known until a row leaves its window") {
  SummaryCache cache;
  cache.keep("/a", rest(1), at(100), at(150), counted(7));
  CHECK(cache.find("/a", rest(1), at(100)).value().sample_count == 7);
  CHECK(cache.find("/a", rest(1), at(150)).has_value());
  CHECK_FALSE(cache.find("/a", rest(1), at(151)).has_value());
  CHECK_FALSE(cache.find("/a", rest(1), at(99)).has_value());
  CHECK_FALSE(cache.find("/b", rest(1), at(100)).has_value());
}

TEST_CASE("a summary of a ledger that changed is forgotten") {
  SummaryCache cache;
  cache.keep("/a", rest(1), at(100), std::nullopt, counted(0));
  CHECK(cache.find("/a", rest(1), at(100'000)).has_value());
  CHECK_FALSE(cache.find("/a", rest(2), at(100)).has_value());
  CHECK_FALSE(cache.find("/a", rest(1), at(100)).has_value());
}

TEST_CASE("summaries that are kept are bounded") {
  SummaryCache cache;
  for (std::size_t i = 0; i <= SummaryCache::kMost; ++i) {
    cache.keep("/" + std::to_string(i), rest(1), at(0), std::nullopt, counted(1));
  }
  CHECK_FALSE(cache.find("/0", rest(1), at(0)).has_value());
  CHECK(cache.find("/1", rest(1), at(0)).has_value());

  for (std::size_t i = 0; i <= SummaryCache::kMostOfLedger; ++i) {
    cache.keep("/often", rest(1), at(static_cast<std::int64_t>(i)), at(static_cast<std::int64_t>(i)), counted(1));
  }
  CHECK_FALSE(cache.find("/often", rest(1), at(0)).has_value());
  CHECK(cache.find("/often", rest(1), at(1)).has_value());

  LedgerSummary large;
  large.sources.resize(SummaryCache::kMostSourcesOfOne);
  constexpr std::size_t kLarge = SummaryCache::kMostSources / SummaryCache::kMostSourcesOfOne;
  for (std::size_t i = 0; i <= kLarge; ++i) {
    cache.keep("/large" + std::to_string(i), rest(1), at(0), std::nullopt, large);
  }
  CHECK_FALSE(cache.find("/large0", rest(1), at(0)).has_value());
  CHECK(cache.find("/large1", rest(1), at(0)).has_value());

  LedgerSummary wide;
  wide.sources.resize(SummaryCache::kMostSourcesOfOne + 1);
  cache.keep("/wide", rest(1), at(0), std::nullopt, wide);
  CHECK_FALSE(cache.find("/wide", rest(1), at(0)).has_value());
}

TEST_CASE("summaries of agents that were gone were kept until a thousand others had come") {
  SummaryCache cache;
  cache.keep("/gone", rest(1), at(0), std::nullopt, counted(1));
  cache.keep("/gone", rest(1), at(5), at(5), counted(1));
  cache.keep_rows("/gone", {});
  cache.keep("/here", rest(1), at(0), std::nullopt, counted(1));
  cache.forget("/gone");
  CHECK_FALSE(cache.find("/gone", rest(1), at(5)).has_value());
  CHECK_FALSE(cache.find_rows("/gone").has_value());
  CHECK(cache.find("/here", rest(1), at(0)).has_value());
}

TEST_CASE("a summary that was kept says what the ledger says now") {
  const Host host;
  const auto ledger = with_no_other_sampler(host.agent("echo"));
  const auto store = host.store();
  const auto oracle = host.store("memory");
  const std::string file = place_of(*store, ledger);
  std::mt19937 random(20);
  std::int64_t newest = kNoon;
  for (int step = 0; step < 300; ++step) {
    const auto source = std::string("session:") + static_cast<char>('a' + random() % 3);
    switch (random() % 8) {
      case 0:
      case 1: {
        newest += 60'000;
        const auto row = tick({sample(newest, source, static_cast<double>(random() % 100))});
        must(store->append(ledger, row));
        must(oracle->append(ledger, row));
        break;
      }
      case 2:
        if (newest > kNoon) {  // another program's row, which knows no more than upstream's columns
          newest += 60'000;
          PlainDatabase(file).run(upstream_insert(newest, source));
          Sample row = sample(newest, source, 12.5, 1'048'576);
          row.usage.reset();
          row.interval.reset();
          row.processes.reset();
          must(oracle->append(ledger, tick({row})));
        }
        break;
      case 3:
        must(store->prune_older_than(ledger, at(newest - 1'200'000)));
        must(oracle->prune_older_than(ledger, at(newest - 1'200'000)));
        break;
      default: {
        if (random() % 2 == 0) let_rest(file);
        const auto since = at(newest - static_cast<std::int64_t>(random() % 20) * 30'000);
        for (int again = 0; again < 2; ++again) {
          check_same(must(store->summary(ledger, since)), must(oracle->summary(ledger, since)));
        }
        check_same(must(store->summary(ledger, since + std::chrono::seconds{15})),
                   must(oracle->summary(ledger, since + std::chrono::seconds{15})));
      }
    }
  }
}
