#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/peer.h"
#include "tests/backends/sqlite/plain_sqlite.h"

// Rollups in a file that others write, prune and kill us over.

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
/// Midnight of some day.
constexpr std::int64_t kMidnight = kNoon / kDay * kDay;

Sample row(std::int64_t ms, const std::string& source) {
  Sample made = sample(ms, source, 10);
  made.usage = Usage{std::chrono::seconds{6}};
  made.interval = std::chrono::minutes{1};
  return made;
}

std::string file_of(const LedgerKey& ledger) { return ledger.agent.path + "/.instar/server-data/resource-ledger.db"; }

std::int64_t number(const std::string& file, const std::string& query) {
  return std::stoll(PlainDatabase(file).value(query));
}

/// A row a minute of each source, from midnight on.
void fill(LedgerStore& store, const LedgerKey& ledger, int minutes, const std::vector<std::string>& sources) {
  for (int minute = 0; minute < minutes; ++minute) {
    AgentTick made;
    for (const std::string& source : sources) {
      made.samples.push_back(row(kMidnight + minute * kMinute, source));
    }
    must(store.append(ledger, made));
  }
}

/// CPU seconds and rows of all sources since a moment.
std::pair<double, std::int64_t> all_since(LedgerStore& store, const LedgerKey& ledger, std::int64_t since) {
  std::pair<double, std::int64_t> sum;
  for (const SourceSummary& source : must(store.summary(ledger, at(since))).sources) {
    sum.first += (source.usage + source.estimated.usage).seconds();
    sum.second += source.sample_count;
  }
  return sum;
}

using Sums = std::pair<double, std::int64_t>;

TEST_CASE("an hour that somebody else prunes in part is read from its rollup, and never rolled again") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  fill(*store, ledger, 200, {"a", "b"});
  CHECK(all_since(*store, ledger, kMidnight) == Sums{200 * 12, 400});
  PlainDatabase other(file_of(ledger));
  other.run("DELETE FROM resource_samples WHERE ts < " + std::to_string(kMidnight + 90 * kMinute));
  CHECK(all_since(*store, ledger, kMidnight) == Sums{200 * 12, 400});
  CHECK(all_since(*store, ledger, kMidnight + kHour) == Sums{140 * 12, 280});
  CHECK(all_since(*store, ledger, kMidnight + 100 * kMinute) == Sums{140 * 12, 280});  // of the whole hour
  CHECK(all_since(*store, ledger, kMidnight + 120 * kMinute) == Sums{80 * 12, 160});
  const auto trend = must(store->trend(ledger, {at(kMidnight), at(kMidnight + 4 * kHour), 16, "a"}));
  std::vector<std::int64_t> rows;
  for (const TrendBucket& bucket : trend.at(0).buckets) {
    rows.push_back(bucket.rows);
  }
  CHECK(rows == std::vector<std::int64_t>{60, 60, 15, 15, 15, 15, 15, 5});

  must(store->prune_older_than(ledger, at(kMidnight + 2 * kHour)));
  CHECK(all_since(*store, ledger, kMidnight) == Sums{200 * 12, 400});
  must(store->append(ledger, tick({row(kMidnight + 61 * kMinute, "a")})));  // by a clock that was set back
  CHECK(all_since(*store, ledger, kMidnight) == Sums{200 * 12 + 6, 401});
  must(store->prune_older_than(ledger, at(kMidnight + kDay)));
  CHECK(all_since(*store, ledger, kMidnight) == Sums{200 * 12 + 6, 401});
  CHECK(number(file_of(ledger), "SELECT count(*) FROM resource_samples") == 0);
}

TEST_CASE("rows that somebody else wrote late are in the second rolling") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  const auto store = host.store();
  fill(*store, ledger, 130, {"a"});
  PlainDatabase(file_of(ledger)).run(upstream_insert(kMidnight + 30 * kMinute + 7, "a"));
  must(store->prune_older_than(ledger, at(kMidnight + kHour)));
  CHECK(all_since(*store, ledger, kMidnight).second == 131);
  CHECK(number(file_of(ledger), "SELECT row_count FROM fleetledger_rollups WHERE complete = 0") == 61);
}

TEST_CASE("a row at a fraction of a millisecond hid all rows from summaries, rolling and pruning") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  const auto store = host.store();
  const auto fraction = [](std::int64_t ms) {
    return "INSERT INTO resource_samples (ts, source) VALUES (" + std::to_string(ms) + ".5, 'agent-server')";
  };
  fill(*store, ledger, 40, {"a"});
  PlainDatabase other(file_of(ledger));
  other.run(fraction(kMidnight - 2 * kDay));  // the oldest of the ledger
  CHECK(all_since(*store, ledger, kMidnight) == Sums{40 * 6, 40});
  other.run(fraction(kMidnight - 1));  // and the first that is not rolled yet
  fill(*store, ledger, 130, {"b"});
  CHECK(number(file_of(ledger), "SELECT count(*) FROM fleetledger_rollups WHERE source = 'b'") == 2);
  CHECK(all_since(*store, ledger, kMidnight) == Sums{170 * 6, 170});
  must(store->prune_older_than(ledger, at(kMidnight + kHour)));
  CHECK(number(file_of(ledger), "SELECT count(*) FROM resource_samples") == 70);
  CHECK(all_since(*store, ledger, kMidnight) == Sums{170 * 6, 170});
}

TEST_CASE("the last hour of an agent that had stopped was not rolled before its rows were pruned") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  const auto store = host.store();
  fill(*store, ledger, 40, {"a"});
  const auto rolled_at = [&](std::int64_t ms) {
    AgentTick empty;
    empty.ts = at(ms);
    must(store->append(ledger, empty));
    return number(file_of(ledger), "SELECT count(*) FROM fleetledger_rollups WHERE complete = 1");
  };
  CHECK(rolled_at(kMidnight + kHour + 5 * kMinute - 1) == 0);
  CHECK(rolled_at(kMidnight + kHour + 5 * kMinute) == 1);
  CHECK(all_since(*store, ledger, kMidnight) == Sums{40 * 6, 40});
}

TEST_CASE("while we yield, what the agent's own sampler writes is rolled before it prunes it") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::agent);
  fs::create_directories(fs::path(file_of(ledger)).parent_path());
  PlainDatabase sampler(file_of(ledger));
  sampler.run(kUpstreamSchema);
  const auto store = host.store();
  for (int minute = 0; minute < 300; ++minute) {
    const std::int64_t ts = kMidnight + minute * kMinute;
    sampler.run(upstream_insert(ts, "agent-server"));
    sampler.run("DELETE FROM resource_samples WHERE ts < " + std::to_string(ts - 100 * kMinute));
    CHECK(must(store->append(ledger, tick({row(ts + 1, "a")}))).yielding);
  }
  CHECK(number(file_of(ledger), "SELECT count(*) FROM resource_samples") == 101);
  CHECK(number(file_of(ledger), "SELECT count(*) FROM resource_samples WHERE fl_interval_us IS NOT NULL") == 0);
  const SourceSummary all = must(store->summary(ledger, at(kMidnight))).sources.at(0);
  CHECK(all.sample_count == 300);
  CHECK(all.avg_cpu_percent == Approx(12.5));
  CHECK(all.usage == Usage{});
  CHECK(all.estimated == Estimate{Usage{std::chrono::milliseconds{299 * 7500}}, std::chrono::minutes{299}});
}

TEST_CASE("a first start over the week of another sampler rolls it bit by bit") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  fs::create_directories(fs::path(file_of(ledger)).parent_path());
  constexpr int kMinutes = 7 * 24 * 60;
  PlainDatabase(file_of(ledger))
      .run(std::string(kUpstreamSchema) + "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < " +
           std::to_string(kMinutes - 1) + ") INSERT INTO resource_samples (ts, source, cpu_percent) SELECT " +
           std::to_string(kMidnight) +
           " + i * 60000, source, 10 FROM n, (SELECT 'agent-server' AS source UNION SELECT 'aggregate')");
  const auto store = host.store();
  std::int64_t before = 0;
  std::int64_t ticks = 0;
  for (std::int64_t ts = kMidnight + 7 * kDay;; ts += kMinute, ++ticks) {
    REQUIRE(ticks < 20);
    must(store->append(ledger, tick({row(ts, "a")})));
    const auto rolled = number(file_of(ledger), "SELECT coalesce(sum(row_count), 0) FROM fleetledger_rollups");
    CHECK(rolled - before <= 5000 + 120);
    CHECK(all_since(*store, ledger, kMidnight).second == 2 * kMinutes + ticks + 1);
    if (rolled == before) {
      break;
    }
    before = rolled;
  }
  CHECK(before == 2 * (kMinutes - 60));  // the last hour is not over for five minutes
  CHECK(ticks >= 4);
}

TEST_CASE("what is known of hours moves with the samples to the central file, also what has no samples any more") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  const auto store = host.store();
  fill(*store, ledger, 300, {"a", "b"});
  must(store->prune_older_than(ledger, at(kMidnight + 2 * kHour)));
  PlainDatabase(file_of(ledger))
      .run("DELETE FROM resource_samples WHERE ts < " + std::to_string(kMidnight + 130 * kMinute));
  const auto before = all_since(*store, ledger, kMidnight);
  CHECK(before == Sums{300 * 12, 600});
  PlainDatabase(file_of(ledger)).run(upstream_insert(kMidnight + 300 * kMinute, "agent-server"));
  REQUIRE(must(store->append(ledger, tick({row(kMidnight + 300 * kMinute, "a")}))).central_since.has_value());
  CHECK(all_since(*store, ledger, kMidnight) == Sums{300 * 12 + 6, 601});
  CHECK(all_since(*store, ledger, kMidnight + kHour) == Sums{240 * 12 + 6, 481});
  for (int hour = 6; hour < 40; ++hour) {
    must(store->append(ledger, {{row(kMidnight + hour * kHour, "c")}, {}, at(kMidnight + hour * kHour - kDay)}));
  }
  CHECK(all_since(*store, ledger, kMidnight) == Sums{300 * 12 + 6 + 34 * 6, 601 + 34});
}

TEST_CASE("a ledger that is killed at any statement while it rolls and prunes loses and doubles nothing") {
  const Host made;
  const LedgerKey origin = made.agent("peer");
  fill(*made.store(), origin, 170, {"a", "agent-server"});
  REQUIRE_FALSE(fs::exists(file_of(origin) + "-wal"));
  std::set<std::string> ends;
  for (int killed_at = 1; !ends.contains("done"); ++killed_at) {
    REQUIRE(killed_at < 1000);
    CAPTURE(killed_at);
    const Host host;
    const LedgerKey ledger = host.agent("peer");
    fs::create_directories(fs::path(file_of(ledger)).parent_path());
    fs::copy_file(file_of(origin), file_of(ledger));
    // Its append rolls the third hour, which is over, and prunes the first two.
    Peer peer({"append", ledger.agent.path, host.options().central_directory, "agent",
               std::to_string(kMidnight + 4 * kHour + kMinute), std::to_string(killed_at)});
    const int status = peer.wait();
    const bool done = WIFEXITED(status);
    REQUIRE((done || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)));
    const auto store = host.store();
    const auto rows = all_since(*store, ledger, kMidnight).second;
    REQUIRE((rows == 340 || rows == 341));
    REQUIRE((!done || rows == 341));
    REQUIRE(all_since(*store, ledger, kMidnight).first == Approx(170 * 12));
    const bool pruned = must(store->sample_count(ledger)) == 101;
    REQUIRE(pruned == (rows == 341));
    ends.insert(done ? "done" : pruned ? "committed" : "not written");
  }
  CHECK(ends.contains("not written"));
}

TEST_CASE("a ledger of an older fleetledger, without rollups, is read as it is and gets them with the next append") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  fill(*host.store(), ledger, 130, {"a"});
  PlainDatabase old(file_of(ledger));
  old.run("DROP TABLE fleetledger_rollups; DROP TABLE fleetledger_day_rollups; DROP TABLE fleetledger_marks");
  const auto store = host.store();
  CHECK(all_since(*store, ledger, kMidnight) == Sums{130 * 6, 130});
  CHECK(must(store->newest_sample(ledger)) == at(kMidnight + 129 * kMinute));
  must(store->append(ledger, tick({row(kMidnight + 130 * kMinute, "a")})));
  CHECK(all_since(*store, ledger, kMidnight) == Sums{131 * 6, 131});
  CHECK(old.value("SELECT group_concat(row_count) FROM fleetledger_rollups") == "60,60");
  CHECK(old.value("PRAGMA user_version") == "0");
}

TEST_CASE("rollups that cannot be meant are read as nothing, whoever wrote them") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  fill(*store, ledger, 70, {"a"});
  PlainDatabase(file_of(ledger))
      .run(
          "UPDATE fleetledger_rollups SET cpu_sum = 'x', cpu_max = -1, cpu_us = x'00', last_ts = 1e300,"
          " rss_sum = -5, row_count = 60; INSERT INTO fleetledger_rollups (start, source, row_count, last_pid)"
          " VALUES ('text', 'b', 'text', -9), (-5, 'c', -7, 1e99), (7, 'd', 3, 'x')");
  const auto summary = must(store->summary(ledger, at(0)));
  for (const SourceSummary& source : summary.sources) {
    CHECK(source.avg_cpu_percent >= 0);
    CHECK(source.usage >= Usage{});
    CHECK(source.peak_cpu_percent >= 0);
  }
  must(store->append(ledger, tick({row(kMidnight + 3 * kHour, "a")})));
  must(store->prune_older_than(ledger, at(kMidnight + 3 * kHour)));
  must(store->trend(ledger, {.since = at(0), .until = at(kMidnight + kDay)}));
}

TEST_CASE("sums in rollups that are 2 to the power of 63 were taken for a number of 64 bits") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  fill(*store, ledger, 130, {"a"});
  must(store->prune_older_than(ledger, at(kMidnight + 2 * kHour)));
  PlainDatabase(file_of(ledger))
      .run(
          "UPDATE fleetledger_rollups SET cpu_us = 9223372036854775808.0, estimated_cpu_us = 9223372036854775808.0,"
          " interval_us = 9223372036854775807, row_count = 60");
  const auto summary = must(store->summary(ledger, at(0)));
  REQUIRE(summary.sources.size() == 1);
  CHECK(summary.sources[0].usage == Usage{std::chrono::seconds{10 * 6}});
  CHECK(summary.sources[0].estimated.usage == Usage{});
  CHECK(summary.sources[0].sample_count == 130);
  PlainDatabase(file_of(ledger)).run("UPDATE fleetledger_rollups SET row_count = 9007199254740992");
  CHECK(must(store->summary(ledger, at(0))).sources[0].sample_count == 10);
}

TEST_CASE("a ledger that holds more than it may loses its oldest hours, which are rolled before, and says so") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::central);
  const auto store = host.store();
  constexpr Bytes kMost{250 << 10};
  bool cut = false;
  std::int64_t rows = 0;
  for (int minute = 0; minute < 1500; ++minute) {
    AgentTick made = tick({row(kMidnight + minute * kMinute, "a"), row(kMidnight + minute * kMinute, "b")});
    rows += 2;
    made.most_bytes = kMost;
    const auto standing = must(store->append(ledger, made));
    cut = cut || standing.cut_to.has_value();
    const auto used = number(place_of(*store, ledger),
                             "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count,"
                             " pragma_freelist_count, pragma_page_size");
    REQUIRE(used <= kMost.value);
  }
  CHECK(cut);
  CHECK(must(store->sample_count(ledger)) < 2800);
  CHECK(must(store->sample_count(ledger)) > 1000);
  CHECK(all_since(*store, ledger, 0) == Sums{static_cast<double>(rows) * 6, rows});
  CHECK(number(place_of(*store, ledger), "SELECT min(ts) FROM resource_samples") % kHour == 0);

  AgentTick tiny = tick({row(kMidnight + 1500 * kMinute, "a")});
  tiny.most_bytes = Bytes{1};
  for (int round = 0; round < 10; ++round) {
    tiny.samples[0].ts += std::chrono::minutes{1};
    must(store->append(ledger, tiny));
  }
  CHECK(number(place_of(*store, ledger), "SELECT count(*) FROM fleetledger_rollups") <= 2);  // of today
  CHECK(must(store->sample_count(ledger)) < 130);
}

TEST_CASE("beside an agent's own samples only ours count and go where a ledger holds more than it may") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  const auto store = host.store();
  fill(*store, ledger, 240, {"a"});
  PlainDatabase other(file_of(ledger));
  other.run(
      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) INSERT INTO"
      " resource_samples (ts, source) SELECT " +
      std::to_string(kMidnight) + " + i * 1000, 'agent-server' FROM n");
  AgentTick made = tick({row(kMidnight + 5 * kHour, "a")});
  made.most_bytes = Bytes{100 << 10};
  CHECK_FALSE(must(store->append(ledger, made)).cut_to.has_value());  // ours are a fortieth
  CHECK(other.value("SELECT count(*) FROM resource_samples") == "10241");
  made = tick({row(kMidnight + 6 * kHour + 1, "a")});
  made.most_bytes = Bytes{10 << 10};
  CHECK(must(store->append(ledger, made)).cut_to.has_value());
  CHECK(other.value("SELECT count(*) FROM resource_samples WHERE fl_interval_us IS NULL") == "10000");
  CHECK(std::stoi(other.value("SELECT count(*) FROM resource_samples WHERE fl_interval_us IS NOT NULL")) < 200);
  for (const SourceSummary& source : must(store->summary(ledger, at(kMidnight))).sources) {
    CHECK(source.sample_count == (source.source == "a" ? 242 : 10'000));
  }
}

}  // namespace
}  // namespace fleetledger::test
