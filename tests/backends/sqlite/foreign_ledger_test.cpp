#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/plain_sqlite.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;

/// An agent whose own software has made its ledger, and samples no more.
LedgerKey agent_with_ledger(const Host& host, const std::string& further_statements = "") {
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  fs::create_directories(ledger.agent.path + "/.instar/server-data");
  PlainDatabase(place_of(*host.store(), ledger)).run(kUpstreamSchema + further_statements);
  return ledger;
}

const std::string kUpstreamRows =
    upstream_insert(kNoon, "agent-server") + upstream_insert(kNoon, "session:s1") +
    "INSERT INTO resource_samples (ts, source, pid, cpu_percent, rss_bytes, heap_used_bytes)"
    " VALUES (1790000000000, 'aggregate', NULL, 25, 2097152, 777);"
    "INSERT OR IGNORE INTO rate_limit_events (id, ts, kind, source, account_key, session_name, reason, detail)"
    " VALUES ('circuit-breaker:1790000000000:1', 1790000000000, 'circuit-open', 'circuit-breaker', 'default', NULL,"
    " 'rate_limit', NULL);"
    "PRAGMA user_version=7;";

TEST_CASE("a ledger of upstream's is read as it is, without our columns, and not changed by it") {
  const Host host;
  const LedgerKey ledger = agent_with_ledger(host, kUpstreamRows);
  const auto store = host.store();
  const auto rows = must(store->recent_samples(ledger, {}));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].source == "agent-server");
  CHECK(rows[0].cpu_percent == 12.5);
  CHECK(rows[0].pid == 42);
  CHECK(rows[0].resident == Bytes{1048576});
  CHECK_FALSE(rows[0].usage.has_value());
  CHECK_FALSE(rows[0].interval.has_value());
  CHECK(rows[1].source == "aggregate");
  CHECK(rows[1].pid == 0);
  CHECK(rows[1].heap == Bytes{777});
  const auto summary = must(store->summary(ledger, at(0)));
  REQUIRE(summary.sources.size() == 3);
  CHECK(summary.sources[1].peak_cpu_percent == 25);
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 1);
  CHECK(PlainDatabase(place_of(*store, ledger)).value("SELECT count(*) FROM pragma_table_info('resource_samples')") ==
        "6");
}

TEST_CASE("a ledger of upstream's is adopted without loss and its own software goes on with it") {
  const Host host;
  const LedgerKey ledger = agent_with_ledger(host, kUpstreamRows);
  const auto store = host.store();
  must(store->append(
      ledger, tick({sample(kNoon, "agent-server"), sample(kNoon + 5, "orphans")}, {event(kNoon, 1), event(kNoon, 2)})));
  CHECK(must(store->sample_count(ledger)) == 5);
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 2);

  PlainDatabase upstream(place_of(*store, ledger));
  CHECK(upstream.value("PRAGMA user_version") == "7");
  CHECK(upstream.value("SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx%'") == "5");
  upstream.run(kUpstreamSchema + upstream_insert(kNoon + 9, "agent-server"));
  CHECK(upstream.value("SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name LIKE 'idx%'") == "5");
  CHECK(upstream.value("SELECT group_concat(name) FROM pragma_table_info('resource_samples')") ==
        "ts,source,pid,cpu_percent,rss_bytes,heap_used_bytes,fl_cpu_us,fl_interval_us,fl_processes");
  CHECK(upstream.value("SELECT count(*) FROM resource_samples WHERE fl_interval_us IS NULL") == "4");
  CHECK(must(store->newest_sample(ledger)) == at(kNoon + 9));
}

TEST_CASE("upstream's statements run on a ledger that we made, while we have it open") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  const auto store = host.store();
  must(store->append(ledger,
                     tick({sample(kNoon, "agent-server", 10), sample(kNoon, "aggregate", 30)}, {event(kNoon, 1)})));
  PlainDatabase upstream(place_of(*store, ledger));
  upstream.run(kUpstreamSchema);
  upstream.run(upstream_insert(kNoon + 1, "agent-server"));
  upstream.run(
      "INSERT OR IGNORE INTO rate_limit_events (id, ts, kind, source, account_key, session_name, reason, detail)"
      " VALUES ('circuit-breaker:1790000000000:1', 1, 'quota', 'circuit-breaker', 'default', NULL, NULL, NULL)");
  must(store->append(ledger, tick({sample(kNoon + 2, "agent-server", 20)})));
  CHECK(upstream.value("PRAGMA journal_mode") == "wal");
  CHECK(upstream.rows("SELECT source, max(cpu_percent), count(*), max(ts) FROM resource_samples WHERE ts >= 0"
                      " GROUP BY source ORDER BY source") ==
        std::vector<std::vector<std::string>>{{"agent-server", "20.0", "3", "1790000000002"},
                                              {"aggregate", "30.0", "1", "1790000000000"}});
  CHECK(upstream.rows("SELECT ts, source, pid, cpu_percent AS cpuPercent, rss_bytes AS rssBytes,"
                      " heap_used_bytes AS heapUsedBytes FROM resource_samples WHERE ts >= 0 AND source = 'aggregate'"
                      " ORDER BY ts DESC LIMIT 10") ==
        std::vector<std::vector<std::string>>{{"1790000000000", "aggregate", "42", "30.0", "1000", "NULL"}});
  CHECK(upstream.value("SELECT kind FROM rate_limit_events") == "circuit-open");
  upstream.run("DELETE FROM resource_samples WHERE ts < 1790000000001");
  CHECK(must(store->sample_count(ledger)) == 2);
}

TEST_CASE("the schema that we make is upstream's, table by table and index by index, but for what is named as ours") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  PlainDatabase ours(place_of(*store, ledger));
  PlainDatabase upstream(":memory:");
  upstream.run(kUpstreamSchema);
  const std::string indexes =
      "SELECT m.name, m.tbl_name, i.name FROM sqlite_master m, pragma_index_info(m.name) i WHERE m.type = 'index'"
      " AND m.name NOT LIKE 'fleetledger%' AND m.tbl_name NOT LIKE 'fleetledger%' ORDER BY m.name, i.seqno";
  CHECK(ours.rows(indexes) == upstream.rows(indexes));
  const std::string columns =
      "SELECT m.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk FROM sqlite_master m,"
      " pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'fleetledger%' AND c.name NOT LIKE "
      "'fl\\_%' ESCAPE '\\' ORDER BY m.name,"
      " c.cid";
  CHECK(ours.rows(columns) == upstream.rows(columns));
  CHECK(ours.rows("SELECT type, \"notnull\", dflt_value FROM pragma_table_info('resource_samples')"
                  " WHERE name LIKE 'fl\\_%' ESCAPE '\\'") ==
        std::vector<std::vector<std::string>>(3, {"INTEGER", "0", "NULL"}));
}

TEST_CASE("the agent's own ledger beside a central one gives each event once, in parts, and is only read") {
  const Host host;
  const LedgerKey own = agent_with_ledger(host, kUpstreamRows);
  const LedgerKey central{own.agent, LedgerLocation::central};
  const auto store = host.store();
  CHECK_FALSE(must(store->events_elsewhere(own, std::nullopt)).apart);
  PlainDatabase upstream(place_of(*store, own));
  const auto add = [&upstream](int from, int to) {
    upstream.run("WITH RECURSIVE n(i) AS (SELECT " + std::to_string(from) +
                 " UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(to) +
                 ") INSERT INTO rate_limit_events (id, ts, kind, source)"
                 " SELECT 'circuit-breaker:' || i || ':0', i, 'circuit-open', 'circuit-breaker' FROM n");
  };
  std::optional<ReadMark> mark;
  const auto copy = [&] {
    std::size_t copied = 0;
    for (bool more = true; more;) {
      const auto found = must(store->events_elsewhere(central, mark));
      CHECK(found.apart);
      AgentTick tick;
      tick.events = found.events;
      mark = tick.marks["agent-ledger"] = found.mark;
      must(store->append(central, tick));
      copied += found.events.size();
      more = found.more;
    }
    return copied;
  };
  CHECK(copy() == 1);
  CHECK(copy() == 0);
  add(1, 2500);
  CHECK(copy() == 2500);
  upstream.run("INSERT INTO rate_limit_events (id, ts, kind, source) VALUES ('text', 'no time', 'quota', 'x')");
  upstream.run("INSERT INTO rate_limit_events VALUES ('early', -9223372036854775807, 'quota', 'x', 'a', NULL, '', '')");
  CHECK(copy() == 0);
  CHECK(must(store->rate_limit_report(central, at(0))).total == 2501);
  upstream.run("DELETE FROM rate_limit_events; VACUUM");
  add(3000, 3009);
  CHECK(copy() == 10);
  CHECK(must(store->rate_limit_report(central, at(0))).total == 2511);
  CHECK(must(store->read_marks(central)).at("agent-ledger") == mark);
  upstream.run(
      "INSERT INTO rate_limit_events (rowid, id, ts, kind, source)"
      " VALUES (9223372036854775807, 'last', 4000, 'quota', 'x')");
  CHECK(copy() == 1);
  CHECK(copy() <= 1);
  CHECK(must(store->rate_limit_report(central, at(0))).total == 2512);
  CHECK(upstream.value("SELECT count(*) FROM sqlite_master WHERE name LIKE 'fleetledger%'") == "0");
  CHECK(upstream.value("SELECT count(*) FROM pragma_table_info('resource_samples')") == "6");
}

TEST_CASE("a ledger from before upstream took samples holds events and no samples") {
  const Host host;
  const LedgerKey ledger = with_no_other_sampler(host.agent("echo"));
  fs::create_directories(ledger.agent.path + "/.instar/server-data");
  const auto store = host.store();
  PlainDatabase(place_of(*store, ledger))
      .run(
          "CREATE TABLE rate_limit_events (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT"
          " NOT NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);"
          "INSERT INTO rate_limit_events (id, ts, kind, source) VALUES ('x', 5, 'quota', 'session-sentinel')");
  CHECK(must(store->summary(ledger, at(0))).sample_count == 0);
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 1);
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(must(store->sample_count(ledger)) == 1);
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 1);
}

TEST_CASE("rows that no sampler can have meant are read as nothing worse than zeros") {
  const Host host;
  const LedgerKey ledger = agent_with_ledger(
      host,
      "INSERT INTO resource_samples VALUES (100, 'words', 'pid', 'fast', 'large', 'heap');"
      "INSERT INTO resource_samples VALUES (101, 'huge', 9223372036854775807, 9e999, 9e18, -5);"
      "INSERT INTO resource_samples VALUES (102, 'below', -7, -1.5, -2, NULL);"
      "INSERT INTO resource_samples VALUES ('yesterday', 'no time', 1, 1, 1, 1);"
      "INSERT INTO resource_samples VALUES (9e300, 'no time either', 1, 1, 1, 1);"
      "INSERT INTO resource_samples VALUES (103, x'00ff', 1, 1, 1, 1);"
      "INSERT INTO resource_samples VALUES (104, '', 1, 1, 1, 1);"
      "INSERT INTO resource_samples VALUES (105, 'fractions', 1.5, 1, 2.5, 3.5);"
      "INSERT INTO resource_samples VALUES (-9223372036854775807, 'fractions', 1.5, 1, 2.5, 3.5);"
      "INSERT INTO rate_limit_events VALUES (NULL, 'noon', 'quota', 's', 'default', NULL, NULL, NULL);"
      "INSERT INTO rate_limit_events VALUES (NULL, 7, x'ff', 's', 'default', 1, 2.5, zeroblob(5000));");
  const auto store = host.store();
  const auto rows = must(store->recent_samples(ledger, {}));
  REQUIRE(rows.size() == 5);
  CHECK(rows[0].resident == Bytes{2});
  for (const std::size_t index : {2U, 3U, 4U}) {
    CHECK(rows[index].cpu_percent == 0);
    CHECK(rows[index].resident == Bytes{0});
    CHECK(rows[index].pid == 0);
    CHECK_FALSE(rows[index].heap.has_value());
  }
  const auto summary = must(store->summary(ledger, at(0)));
  CHECK(summary.sample_count == 9);
  REQUIRE(summary.sources.size() == 5);
  for (const SourceSummary& source : summary.sources) {
    INFO(source.source);
    CHECK(source.sample_count == 1);
    if (source.newest.ts < at(103)) {
      CHECK(source.peak_cpu_percent == 0);
      CHECK(source.avg_resident == 0);
    }
  }
  const auto trends = must(store->trend(ledger, {.since = at(0), .until = at(200)}));
  REQUIRE(trends.size() == 5);
  for (const SourceTrend& trend : trends) {
    INFO(trend.source);
    REQUIRE(trend.buckets.size() == 1);
    CHECK(trend.buckets[0].rows == 1);
    CHECK_FALSE(trend.buckets[0].usage.has_value());
    if (trend.buckets[0].start < at(103)) {
      CHECK(trend.buckets[0].peak_cpu_percent == 0);
      CHECK(trend.buckets[0].peak_resident == Bytes{0});
    }
  }
  const auto report = must(store->rate_limit_report(ledger, at(0)));
  REQUIRE(report.events.size() == 1);
  CHECK(report.events[0].id.empty());
  CHECK(report.events[0].detail->size() == kMostTextBytes);
  CHECK(must(store->newest_sample(ledger)) == at(105));
  must(store->append(ledger, tick({sample(106, "words")})));
  CHECK(must(store->sample_count(ledger)) == 10);
}

TEST_CASE("paging comes to an end whatever somebody else wrote in place of a source or a time") {
  const Host host;
  const LedgerKey ledger = agent_with_ledger(
      host,
      "INSERT INTO resource_samples (ts, source) VALUES (7, x'61'), (7, 'b'), (7, 'a'), (7.5, 'b'), (7.25, 'c'),"
      " (7, printf('%.*c', 5000, 'l') || '1'), (7, printf('%.*c', 5000, 'l') || '2'), (6, 'last');");
  const auto store = host.store();
  SampleQuery page{.limit = 1};
  std::vector<std::string> sources;
  for (int pages = 0; pages < 20; ++pages) {
    const auto rows = must(store->recent_samples(ledger, page));
    if (rows.empty()) {
      break;
    }
    sources.push_back(rows.back().source.substr(0, 9));
    page.before = SampleCursor{rows.back().ts, rows.back().source};
  }
  REQUIRE(sources.size() < 8);
  CHECK(sources.back() == "last");
}

TEST_CASE("amounts whose sum is beyond all numbers are summed up to the largest there is") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(1, "a")})));
  PlainDatabase(place_of(*store, ledger))
      .run(
          "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
          " INSERT INTO resource_samples (ts, source, fl_cpu_us, fl_interval_us)"
          " SELECT i, 'a', 9007199254740992, 9007199254740992 FROM n;");
  const auto trends = must(store->trend(ledger, {.since = at(0), .until = at(5000), .buckets = 1}));
  REQUIRE(trends.size() == 1);
  CHECK(trends[0].buckets.at(0).usage == Usage{Micros::max()});
  CHECK(trends[0].buckets.at(0).interval == Micros::max());
  CHECK(must(store->summary(ledger, at(0))).sources.at(0).usage == Usage{Micros::max()});
}

TEST_CASE("a ledger with more sources than anybody has is summed up source by source") {
  const Host host;
  const LedgerKey ledger =
      agent_with_ledger(host,
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                        " INSERT INTO resource_samples (ts, source) SELECT i, 'session:' || i FROM n;");
  const auto summary = must(host.store()->summary(ledger, at(4001)));
  CHECK(summary.sources.size() == 1000);
  CHECK(summary.sample_count == 5000);
  CHECK(summary.sources.front().source == "session:5000");
}

}  // namespace
}  // namespace fleetledger::test
