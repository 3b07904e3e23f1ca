#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backends/sqlite/statements.h"
#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/peer.h"
#include "tests/backends/sqlite/plain_sqlite.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

constexpr std::int64_t kPeriod = 300'000;  // of the agent's own sampler
constexpr const char* kOurs = " FROM resource_samples WHERE fl_interval_us IS NOT NULL";
constexpr const char* kTheirs = " FROM resource_samples WHERE fl_interval_us IS NULL";

using Rows = std::vector<std::vector<std::string>>;

std::string own_file(const LedgerKey& ledger) { return ledger.agent.path + "/.instar/server-data/resource-ledger.db"; }

std::string central_file(const Host& host, const LedgerKey& ledger) {
  return host.options().central_directory + "/" + ledger.agent.id + "/resource-ledger.db";
}

/// The agent's own file as its server makes it.
std::string make_own_file(const LedgerKey& ledger, const std::string& statements = "") {
  fs::create_directories(fs::path(own_file(ledger)).parent_path());
  PlainDatabase(own_file(ledger)).run(kUpstreamSchema + statements);
  return own_file(ledger);
}

/// All that the moving has to keep of our rows.
Rows our_rows(const std::string& file) {
  return PlainDatabase(file).rows(
      "SELECT ts, source, pid, cpu_percent, rss_bytes, heap_used_bytes, fl_cpu_us, fl_interval_us, fl_processes" +
      std::string(kOurs) + " ORDER BY ts, source, pid");
}

/// Appends as the collector does: a ledger that is busy is tried again.
LedgerStanding append_patiently(LedgerStore& store, const LedgerKey& ledger, const AgentTick& what) {
  while (true) {
    auto done = store.append(ledger, what);
    if (done || done.error().kind != Error::Kind::busy) {
      return must(std::move(done));
    }
    std::this_thread::yield();
  }
}

TEST_CASE("auto: an agent whose own sampler is on at first sight is kept centrally, its file as it was") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  const std::string file = make_own_file(ledger, upstream_insert(kNoon - 2 * kPeriod, "agent-server"));
  const std::string before = PlainDatabase(file).value("SELECT group_concat(sql) FROM sqlite_master");
  const auto store = host.store();
  const auto standing = must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(standing == LedgerStanding{central_file(host, ledger), at(kNoon), at(kNoon - 2 * kPeriod), false});
  CHECK(store->standing(ledger, at(kNoon)) == standing);
  CHECK(host.store()->standing(ledger, at(kNoon)) == standing);
  CHECK(PlainDatabase(file).value("SELECT group_concat(sql) FROM sqlite_master") == before);
  CHECK(PlainDatabase(file).value("SELECT count(*) FROM resource_samples") == "1");
  CHECK(must(store->sample_count(ledger)) == 1);
  CHECK(must(store->recent_samples(ledger, {})).front().ts == at(kNoon));
}

TEST_CASE("auto: rows that the agent's own sampler wrote long ago, or that only the future knows, change no place") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  make_own_file(ledger, upstream_insert(kNoon - 2 * kPeriod - 1, "agent-server") +
                            upstream_insert(kNoon + 2 * kPeriod + 1, "agent-server"));
  const auto store = host.store();
  for (int round = 0; round < 2; ++round) {  // before and after it is open
    const auto standing = must(store->append(ledger, tick({sample(kNoon, "a")})));
    CHECK(standing == LedgerStanding{own_file(ledger), std::nullopt, std::nullopt, false});
    CHECK(store->standing(ledger, at(kNoon)) == standing);
  }
  CHECK(must(store->sample_count(ledger)) == 4);
  CHECK_FALSE(fs::exists(central_file(host, ledger)));
}

TEST_CASE("auto: a row of another sampler that lies ahead counts when its time comes, though nobody writes meanwhile") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  const std::int64_t ahead = kNoon + 20 * kPeriod;
  const bool at_first_sight = GENERATE(true, false);
  if (at_first_sight) {
    make_own_file(ledger, upstream_insert(ahead, "agent-server"));
  }
  const auto store = host.store();
  for (int index = 0; index < 10; ++index) {
    must(store->append(ledger, tick({sample(kNoon + index * 1000, "a")})));
    if (index == 5 && !at_first_sight) {
      PlainDatabase(own_file(ledger)).run(upstream_insert(ahead, "agent-server"));
    }
  }
  CHECK(must(store->append(ledger, tick({sample(ahead - kPeriod, "a")}))).place == central_file(host, ledger));
}

TEST_CASE("what another program writes between two ticks of ours is seen at the next one") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::agent);
  const auto store = host.store();
  for (int index = 0; index < 3; ++index) {
    must(store->append(ledger, tick({sample(kNoon + index * 1000, "a")})));
  }
  // As if it were ours: what counts is the moment, which is taken.
  PlainDatabase(own_file(ledger))
      .run("INSERT INTO resource_samples (ts, source, cpu_percent, fl_interval_us) VALUES (" +
           std::to_string(kNoon + 3000) + ", 'a', 1, 1000000)");
  must(store->append(ledger, tick({sample(kNoon + 3000, "a"), sample(kNoon + 3000, "b")})));
  CHECK(PlainDatabase(own_file(ledger))
            .rows("SELECT ts - " + std::to_string(kNoon) + ", source FROM resource_samples WHERE ts > " +
                  std::to_string(kNoon + 2000) + " ORDER BY ts, source") ==
        Rows{{"3000", "a"}, {"3000", "b"}, {"3001", "a"}});
}

TEST_CASE("a tick that was rolled back leaves nothing known of what it had written") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::agent);
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  {
    PlainDatabase peer(own_file(ledger));
    peer.run("CREATE UNIQUE INDEX one ON resource_samples (pid) WHERE pid = 77");
    peer.run("INSERT INTO resource_samples (ts, source, pid) VALUES (1, 'x', 77)");
  }
  auto refused = sample(kNoon + 5000, "b");
  refused.pid = 77;
  CHECK_FALSE(store->append(ledger, tick({sample(kNoon + 5000, "a"), refused})));
  PlainDatabase(own_file(ledger)).run("DROP INDEX one");
  must(store->append(ledger, tick({sample(kNoon + 1000, "a")})));
  must(store->append(ledger, tick({sample(kNoon + 1000, "a")})));
  CHECK(PlainDatabase(own_file(ledger))
            .rows("SELECT ts - " + std::to_string(kNoon) + " FROM resource_samples WHERE source = 'a' ORDER BY ts") ==
        Rows{{"0"}, {"1000"}, {"1001"}});
}

TEST_CASE("auto: with the first row of another sampler all that we wrote moves, once, and nothing is deleted") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  auto store = host.store();
  for (int index = 0; index < 50; ++index) {
    const std::int64_t ts = kNoon + index * 1000;
    must(store->append(ledger, tick({sample(ts, "a", index), sample(ts, "session:b", 2.5)}, {event(ts, 1)})));
  }
  const auto ours = our_rows(own_file(ledger));
  REQUIRE(ours.size() == 100);
  PlainDatabase(own_file(ledger)).run(upstream_insert(kNoon + 50'000, "agent-server"));
  if (GENERATE(true, false)) {
    store = host.store();  // it was not open
  }
  const auto standing = must(store->append(ledger, tick({sample(kNoon + 60'000, "a")})));
  CHECK(standing == LedgerStanding{central_file(host, ledger), at(kNoon + 60'000), at(kNoon + 50'000), false});
  auto expected = ours;
  expected.push_back(our_rows(central_file(host, ledger)).back());
  CHECK(expected.back().at(0) == std::to_string(kNoon + 60'000));
  CHECK(our_rows(central_file(host, ledger)) == expected);
  CHECK(our_rows(own_file(ledger)) == ours);
  CHECK(PlainDatabase(own_file(ledger)).value("SELECT count(*)" + std::string(kTheirs)) == "1");
  CHECK(PlainDatabase(central_file(host, ledger)).value("SELECT count(*)" + std::string(kTheirs)) == "0");
  CHECK(must(store->sample_count(ledger)) == 101);

  SECTION("for good, when the other sampler is off again") {
    const std::int64_t later = kNoon + 50 * kPeriod;
    const auto after = must(store->append(ledger, tick({sample(later, "a")})));
    CHECK(after == LedgerStanding{central_file(host, ledger), at(kNoon + 60'000), std::nullopt, false});
    CHECK(host.store()->standing(ledger, at(later)) == after);
  }
  SECTION("until the central file is deleted by hand") {
    store->release(ledger);
    fs::remove_all(fs::path(central_file(host, ledger)).parent_path());
    CHECK(must(store->sample_count(ledger)) == 101);
    CHECK(must(store->append(ledger, tick({sample(kNoon + 61'000, "a")}))).central_since == at(kNoon + 61'000));
    CHECK(must(store->sample_count(ledger)) == 101);
  }
}

TEST_CASE("auto: recoveries and how far logs are read move with the samples, and events can be copied after them") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  make_own_file(ledger);
  const auto store = host.store();
  AgentTick first = tick({sample(kNoon, "a")});
  first.events = {event(kNoon, 1, "throttle", "session-sentinel")};
  first.recoveries = {event(kNoon, 2, "recovery-reached", "session-sentinel")};
  first.marks["sentinel-events"] = {1, 2, 3, 4, "memory"};
  must(store->append(ledger, first));
  PlainDatabase(own_file(ledger)).run(upstream_insert(kNoon + 60'000, "agent-server"));
  CHECK(must(store->append(ledger, tick({sample(kNoon + 61'000, "a")}))).central_since);
  CHECK(must(store->read_marks(ledger)) == first.marks);
  CHECK(must(store->rate_limit_report(ledger, at(0))).recoveries == first.recoveries);
  const auto found = must(store->events_elsewhere(ledger, std::nullopt));
  CHECK(found.apart);
  CHECK(found.events == first.events);
}

TEST_CASE("auto: what was once kept centrally by order is not doubled when the samples move there") {
  const Host host;
  LedgerKey ledger = host.agent("echo", LedgerLocation::central);
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a"), sample(kNoon, "b")})));
  ledger.location = LedgerLocation::automatic;
  CHECK(must(store->sample_count(ledger)) == 0);
  must(store->append(ledger, tick({sample(kNoon, "a"), sample(kNoon + 1, "b")})));
  PlainDatabase(own_file(ledger)).run(upstream_insert(kNoon + 2, "agent-server"));
  must(store->append(ledger, tick({sample(kNoon + 3, "a")})));
  CHECK(must(store->sample_count(ledger)) == 4);
}

TEST_CASE("agent: while the agent's own sampler is on we write events and no samples, and take over when it is off") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::agent);
  const std::string file = make_own_file(ledger, upstream_insert(kNoon, "agent-server"));
  const auto store = host.store();
  for (const std::int64_t since : {std::int64_t{1}, kPeriod, 2 * kPeriod}) {
    auto standing = must(store->append(ledger, tick({sample(kNoon + since, "a")}, {event(kNoon + since, 1)})));
    CHECK(std::exchange(standing.new_events, {}) == std::vector{event(kNoon + since, 1).id});
    CHECK(standing == LedgerStanding{file, std::nullopt, at(kNoon), true});
    CHECK(store->standing(ledger, at(kNoon + since)) == standing);
    CHECK(must(store->append(ledger, tick({}, {event(kNoon + since, 2)}))).yielding);
  }
  CHECK(PlainDatabase(file).value("SELECT count(*) FROM resource_samples") == "1");
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 6);
  CHECK_FALSE(must(store->append(ledger, tick({sample(kNoon + 2 * kPeriod + 1, "a")}))).yielding);
  CHECK(must(store->sample_count(ledger)) == 2);
  PlainDatabase(file).run(upstream_insert(kNoon + 3 * kPeriod, "agent-server"));
  CHECK(must(store->append(ledger, tick({sample(kNoon + 3 * kPeriod, "a")}))).yielding);
  CHECK(must(store->sample_count(ledger)) == 3);
}

TEST_CASE("agent: what a tick was to prune was forgotten while it yielded, unless it also began an hour") {
  constexpr std::int64_t kMinute = 60'000;
  constexpr std::int64_t kDay = 24 * 60 * kMinute;
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::agent);
  const std::string file = make_own_file(ledger, upstream_insert(kNoon + kMinute, "agent-server"));
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon + kMinute, "a")}, {event(kNoon - 10 * kDay, 1), event(kNoon, 2)})));
  PlainDatabase(file).run("INSERT INTO fleetledger_rollups (source, start, row_count) SELECT 'a', " +
                          std::to_string((kNoon / kDay - 20) * kDay) + ", 1");
  AgentTick later = tick({sample(kNoon + 2 * kMinute, "a")});
  later.prune_upstream_events_before = at(kNoon - kDay);
  later.prune_rollups_before = at(kNoon - kDay);
  CHECK(must(store->append(ledger, later)).yielding);
  CHECK(must(store->rate_limit_report(ledger, at(0))).total == 1);
  CHECK(PlainDatabase(file).value("SELECT count(*) FROM fleetledger_rollups") == "0");
}

TEST_CASE("central: the agent's file is never written, and it is said that its own sampler is on") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::central);
  const auto store = host.store();
  CHECK(must(store->append(ledger, tick({sample(kNoon, "a")}))).other_sampler == std::nullopt);
  CHECK_FALSE(fs::exists(own_file(ledger)));
  make_own_file(ledger, upstream_insert(kNoon, "agent-server"));
  // Looking costs something, and here nothing hangs on it: once in a period is enough.
  CHECK(must(store->append(ledger, tick({sample(kNoon + 1, "a")}))).other_sampler == std::nullopt);
  CHECK(store->standing(ledger, at(kNoon + 1)).other_sampler == at(kNoon));
  const auto standing = must(store->append(ledger, tick({sample(kNoon + kPeriod, "a")})));
  CHECK(standing == LedgerStanding{central_file(host, ledger), std::nullopt, at(kNoon), false});
  CHECK(PlainDatabase(own_file(ledger)).value("SELECT count(*) FROM pragma_table_info('resource_samples')") == "6");
}

TEST_CASE("a tick that cannot be kept centrally is not written beside another sampler either, and comes later") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::automatic);
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  PlainDatabase(own_file(ledger)).run(upstream_insert(kNoon, "agent-server"));
  fs::create_directories(fs::path(host.options().central_directory).parent_path());
  PlainDatabase(host.options().central_directory).run("VACUUM");  // a file where the folder should be
  for (int round = 0; round < 2; ++round) {
    const auto refused = store->append(ledger, tick({sample(kNoon + 1, "a")}));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind == Error::Kind::unavailable);
  }
  fs::remove(host.options().central_directory);
  must(store->append(ledger, tick({sample(kNoon + 1, "a")})));
  CHECK(our_rows(own_file(ledger)).size() == 1);
  CHECK(must(store->sample_count(ledger)) == 2);
}

// The sampler writes as fast as it can, and so do we; it starts before us, after us, in between.
TEST_CASE("beside a sampler at full speed nothing is lost or doubled on either side and no lock is in the way") {
  const auto location = GENERATE(LedgerLocation::automatic, LedgerLocation::agent);
  const int before = GENERATE(0, 1, 40);
  CAPTURE(to_string(location), before);
  const Host host;
  const LedgerKey ledger = host.agent("echo", location);
  const auto store = host.store();
  for (int index = 0; index < before; ++index) {
    must(store->append(ledger, tick({sample(kNoon + index, "a", 1), sample(kNoon + index, "aggregate", 1)})));
  }
  fs::create_directories(fs::path(own_file(ledger)).parent_path());
  Peer sampler({"sampler", own_file(ledger), std::to_string(kNoon + 5), "1"});
  int theirs = sampler.read(1);
  REQUIRE(theirs == 1);
  constexpr int kDuring = 150;
  for (int index = 0; index < kDuring; ++index) {
    const auto standing = append_patiently(
        *store, ledger, tick({sample(kNoon + 100 + index, "a", 1), sample(kNoon + 100 + index, "aggregate", 1)}));
    REQUIRE(standing.other_sampler.has_value());
    REQUIRE(standing.yielding == (location == LedgerLocation::agent));
    REQUIRE(standing.central_since.has_value() == (location == LedgerLocation::automatic));
    if (index % 10 == 0) {
      theirs += sampler.read(1);
    }
  }
  sampler.kill();
  theirs += sampler.read(1 << 30);

  PlainDatabase own(own_file(ledger));
  const std::string ours = before == 0 ? "0" : own.value("SELECT count(*)" + std::string(kOurs));
  CHECK(ours == std::to_string(2 * before));
  const auto found = std::stoll(own.value("SELECT count(*) FROM resource_samples")) - std::stoll(ours);
  CHECK(found % 3 == 0);
  CHECK(found >= 3 * theirs);
  CHECK(found <= 3 * (theirs + 1));  // it was killed before it could say so
  CHECK(own.value("SELECT count(DISTINCT ts) FROM resource_samples WHERE source = 'agent-server'") ==
        std::to_string(found / 3));
  CHECK(own.value("PRAGMA integrity_check") == "ok");
  if (location == LedgerLocation::automatic) {
    PlainDatabase central(central_file(host, ledger));
    CHECK(central.value("SELECT count(*)" + std::string(kOurs)) == std::to_string(2 * (before + kDuring)));
    CHECK(central.value("SELECT count(DISTINCT ts || source)" + std::string(kOurs)) ==
          std::to_string(2 * (before + kDuring)));
    CHECK(central.value("SELECT count(*)" + std::string(kTheirs)) == "0");
  }
}

/// Lets another process move the samples of a copy of `made` and kills it at one of SQLite's statements; then moves
/// them here. How far that process came.
std::string move_and_kill(const std::string& made, std::int64_t killed_at) {
  const Host host;
  const LedgerKey ledger = host.agent("peer", LedgerLocation::automatic);
  fs::create_directories(fs::path(own_file(ledger)).parent_path());
  fs::copy_file(made, own_file(ledger));
  const auto ours = our_rows(made);
  Peer peer({"append", ledger.agent.path, host.options().central_directory, "auto", std::to_string(kNoon + 100'000),
             std::to_string(killed_at)});
  const int status = peer.wait();
  const bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  REQUIRE((done || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)));
  REQUIRE(our_rows(own_file(ledger)) == ours);

  const auto store = host.store();
  const bool moved = store->standing(ledger, at(kNoon)).central_since.has_value();
  const auto rows = [&](const std::string& source) {
    return must(store->recent_samples(ledger, {.since = at(kNoon), .source = source, .limit = 1'000'000})).size();
  };
  REQUIRE(rows("a") == ours.size());
  const bool written = moved && rows("agent-server") == 1;
  REQUIRE(rows("agent-server") == (moved && !written ? 0 : 1));  // the other sampler's while it has not moved
  REQUIRE((written || !done));

  must(store->append(ledger, tick({sample(kNoon + 200'000, "a")})));
  const auto kept = our_rows(central_file(host, ledger));
  REQUIRE(kept.size() == ours.size() + (written ? 2 : 1));
  REQUIRE(std::equal(ours.begin(), ours.end(), kept.begin()));
  REQUIRE(PlainDatabase(central_file(host, ledger)).value("PRAGMA integrity_check") == "ok");
  return done ? "done" : !moved ? "not moved" : written ? "written" : "moved";
}

/// A ledger with so many rows of ours and one of another sampler, closed.
std::string make_mixed_ledger(const Host& host, int rows) {
  const LedgerKey ledger = host.agent("mixed", LedgerLocation::automatic);
  must(host.store()->append(ledger, tick({sample(kNoon, "a")})));
  PlainDatabase(own_file(ledger))
      .run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(rows - 1) +
           ") INSERT INTO resource_samples SELECT " + std::to_string(kNoon) +
           " + i, 'a', 42, i, i, NULL, i, i, 1 FROM n;" + upstream_insert(kNoon, "agent-server"));
  REQUIRE_FALSE(fs::exists(own_file(ledger) + "-wal"));
  return own_file(ledger);
}

TEST_CASE("a move that is killed at any statement is made again, and nothing is lost, doubled or seen twice") {
  const Host host;
  const std::string made = make_mixed_ledger(host, 2);
  std::set<std::string> ends;
  for (int killed_at = 1; !ends.contains("done"); ++killed_at) {
    CAPTURE(killed_at);
    REQUIRE(killed_at < 500);
    ends.insert(move_and_kill(made, killed_at));
  }
  CHECK(ends.contains("not moved"));
  CHECK(ends.contains("moved"));
}

TEST_CASE("a move of many rows that is killed within or between its transactions is made again likewise") {
  const Host host;
  const std::string made = make_mixed_ledger(host, 12'000);
  for (const int killed_at : {5'000, 10'000, 15'000, 20'000, 24'000, 1'000'000}) {
    CAPTURE(killed_at);
    CHECK(move_and_kill(made, killed_at) == (killed_at == 1'000'000 ? "done" : "not moved"));
  }
}

TEST_CASE("yielding that is killed at any statement leaves the other sampler's file with its rows alone") {
  std::set<std::string> ends;
  for (int killed_at = 1; !ends.contains("done"); ++killed_at) {
    REQUIRE(killed_at < 500);
    CAPTURE(killed_at);
    const Host host;
    const LedgerKey ledger = host.agent("peer", LedgerLocation::agent);
    const std::string file = make_own_file(ledger, upstream_insert(kNoon, "agent-server"));
    Peer peer({"append", ledger.agent.path, host.options().central_directory, "agent", std::to_string(kNoon + 1),
               std::to_string(killed_at)});
    const int status = peer.wait();
    REQUIRE(((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || (WIFEXITED(status) && WEXITSTATUS(status) == 0)));
    PlainDatabase own(file);
    REQUIRE(own.value("SELECT group_concat(ts || source) FROM resource_samples") ==
            std::to_string(kNoon) + "agent-server");
    REQUIRE(own.value("PRAGMA integrity_check") == "ok");
    const auto events = own.value("SELECT count(*) FROM rate_limit_events");
    ends.insert(WIFEXITED(status) ? "done" : events);
    REQUIRE((!WIFEXITED(status) || events == "1"));
    REQUIRE_FALSE(fs::exists(host.options().central_directory));
  }
  CHECK(ends.contains("0"));
}

TEST_CASE("the look for another sampler takes one step in an index, whoever made the file") {
  const Host host;
  const LedgerKey ledger = host.agent("echo", LedgerLocation::agent);
  const auto plan = [&](bool own_columns) {
    std::string text;
    for (const auto& row :
         PlainDatabase(own_file(ledger)).rows("EXPLAIN QUERY PLAN " + sql::newest_foreign(own_columns))) {
      text += row.at(3) + '\n';
    }
    return text;
  };
  make_own_file(ledger);
  CHECK_THAT(plan(false), Contains("SEARCH resource_samples USING COVERING INDEX idx_rs_ts") && !Contains("B-TREE"));
  must(host.store()->append(ledger, tick({sample(kNoon, "a")})));
  CHECK_THAT(plan(true), Contains("USING INDEX fleetledger_foreign") && !Contains("B-TREE"));
}

}  // namespace
}  // namespace fleetledger::test
