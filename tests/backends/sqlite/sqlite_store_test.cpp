#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <sys/stat.h>

#include "backends/sqlite/statements.h"
#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/plain_sqlite.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

unsigned mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.insert(entry.path().filename());
  }
  return names;
}

/// How many descriptors of this process lead to each ledger (and its -wal and -shm) below a folder.
std::map<std::string, int> open_ledgers(const std::string& folder) {
  std::map<std::string, int> result;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone);
    if (target.starts_with(folder + "/")) {
      ++result[target.substr(0, target.find("/.instar"))];
    }
  }
  return result;
}

TEST_CASE("files are made for their owner alone whatever the umask allows") {
  const Host host;
  const auto store = host.store();
  const LedgerKey beside = host.agent("beside");
  const LedgerKey central = host.agent("central", LedgerLocation::central);
  const mode_t umask_before = ::umask(0);
  must(store->append(beside, tick({sample(kNoon, "a")})));
  must(store->append(central, tick({sample(kNoon, "a")})));
  ::umask(umask_before);
  for (const LedgerKey& ledger : {beside, central}) {
    const std::string file = place_of(*store, ledger);
    CHECK(mode_of(file) == 0600);
    CHECK(mode_of(file + "-wal") == 0600);
    CHECK(mode_of(file + "-shm") == 0600);
    CHECK(mode_of(fs::path(file).parent_path()) == 0700);
  }
  CHECK(mode_of(host.options().central_directory) == 0700);
  CHECK(mode_of(fs::path(host.options().central_directory).parent_path()) == 0700);
}

TEST_CASE("a ledger lies beside its agent, or under its id in the central directory") {
  const Host host;
  const auto store = host.store();
  const std::string beside = "/.instar/server-data/resource-ledger.db";
  CHECK(place_of(*store, host.agent("a", LedgerLocation::agent)) == host.agent("a").agent.path + beside);
  CHECK(place_of(*store, host.agent("a", LedgerLocation::automatic)) == host.agent("a").agent.path + beside);
  const LedgerKey central = host.agent("a", LedgerLocation::central);
  CHECK(place_of(*store, central) == host.options().central_directory + "/" + central.agent.id + "/resource-ledger.db");
}

TEST_CASE("in the folder of an agent nothing is written but its ledger") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  {
    const auto store = host.store();
    must(store->append(ledger, tick({sample(kNoon, "a")})));
  }
  CHECK(names_in(ledger.agent.path) == std::set<std::string>{".instar"});
  CHECK(names_in(ledger.agent.path + "/.instar") == std::set<std::string>{"server-data"});
  CHECK(names_in(ledger.agent.path + "/.instar/server-data") == std::set<std::string>{"resource-ledger.db"});
}

TEST_CASE("reading a ledger that nobody has open makes no file beside it") {
  const Host host;
  const LedgerKey ledger = host.agent("odd ?#%41&=\xC3\xA9 name");
  const auto store = host.store();
  const std::string file = place_of(*store, ledger);
  { must(host.store()->append(ledger, tick({sample(kNoon, "a")}))); }
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours{1});
  CHECK(must(store->recent_samples(ledger, {})).size() == 1);
  CHECK(must(store->summary(ledger, at(0))).sample_count == 1);
  CHECK(names_in(fs::path(file).parent_path()) == std::set<std::string>{"resource-ledger.db"});
}

TEST_CASE("ledgers stay open up to the bound, always the same ones, and no descriptor is left beyond it") {
  const Host host;
  StoreOptions options = host.options();
  options.open_ledgers = 2;
  const auto store = must(open_store("sqlite", options));
  const std::string folder = fs::canonical(host.path());
  std::vector<LedgerKey> ledgers;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    ledgers.push_back(host.agent(name));
  }
  for (int round = 0; round < 3; ++round) {
    for (const LedgerKey& ledger : ledgers) {
      must(store->append(ledger, tick({sample(kNoon + round, "a")})));
      must(store->summary(ledger, at(0)));
    }
    const std::map<std::string, int> expected{{ledgers[0].agent.path, 5}, {ledgers[1].agent.path, 5}};
    CHECK(open_ledgers(folder) == expected);
  }
  store->release(ledgers[0]);
  CHECK(open_ledgers(folder) == std::map<std::string, int>{{ledgers[1].agent.path, 5}});
  must(store->append(ledgers[4], tick({sample(kNoon + 9, "a")})));
  CHECK(open_ledgers(folder).count(ledgers[4].agent.path) == 1);
  for (const LedgerKey& ledger : ledgers) {
    CHECK(must(store->sample_count(ledger)) == (ledger.agent.name == "e" ? 4 : 3));
  }
}

TEST_CASE("no statement of a tick or a read looks through the whole table of samples") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")}, {event(kNoon, 1)})));
  PlainDatabase database(place_of(*store, ledger));
  const std::string hours = sql::kHourRollups;
  const std::string days = sql::kDayRollups;
  for (const std::string& statement : {std::string(sql::kTaken),
                                       std::string(sql::kAnySince),
                                       std::string(sql::kPrune),
                                       std::string(sql::kNewest),
                                       std::string(sql::kEventKinds),
                                       std::string(sql::kEvents),
                                       std::string(sql::kEvent),
                                       std::string(sql::kEventsFromRow),
                                       std::string(sql::kRecoveries),
                                       std::string(sql::kPruneEvents),
                                       std::string(sql::kPruneUpstreamEvents),
                                       std::string(sql::kPruneRecoveries),
                                       std::string(sql::kFirstRow),
                                       std::string(sql::kRowBefore),
                                       std::string(sql::kRollupBefore),
                                       std::string(sql::kFirstRollup),
                                       std::string(sql::kLastRollup),
                                       std::string(sql::kNewestRolled),
                                       std::string(sql::kMark),
                                       sql::kRollup,
                                       sql::rollups(hours),
                                       sql::rollups(days),
                                       sql::rollups_of_source(hours),
                                       sql::rollups_of_source(days),
                                       sql::prune_rollups(hours),
                                       sql::prune_rollups(days),
                                       sql::activity_rows(true),
                                       sql::samples(true),
                                       sql::samples_of_source(true),
                                       sql::rows_by_time(true),
                                       sql::rows_of_source_by_time(true)}) {
    INFO(statement);
    bool searches = false;
    for (const auto& row : database.rows("EXPLAIN QUERY PLAN " + statement)) {
      INFO(row.at(3));
      CHECK_THAT(row.at(3), !Contains("SCAN resource_samples") && !Contains("SCAN rate_limit_events") &&
                                !Contains("SCAN fleetledger_"));
      searches = searches || row.at(3).find("SEARCH") != std::string::npos;
    }
    CHECK(searches);
  }
  for (const std::string& ordered :
       {sql::rows_by_time(true), sql::rows_of_source_by_time(true), sql::rollups(hours), sql::rollups(days),
        sql::rollups_of_source(hours), std::string(sql::kRollupBefore), std::string(sql::kRowBefore)}) {
    for (const auto& row : database.rows("EXPLAIN QUERY PLAN " + ordered)) {
      CHECK_THAT(row.at(3), !Contains("TEMP B-TREE"));  // nothing is sorted: an index has the order
    }
  }
}

TEST_CASE("an operation that takes longer than its limit is broken off and the next one has its whole time") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  must(host.store()->append(ledger, tick({sample(kNoon, "a")})));
  PlainDatabase(place_of(*host.store(), ledger))
      .run(
          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
          " INSERT INTO resource_samples (ts, source) SELECT " +
          std::to_string(kNoon) + " + i, 'many' FROM n");
  StoreOptions options = host.options();
  options.limit = std::chrono::milliseconds{0};
  const auto hasty = must(open_store("sqlite", options));
  const auto broken_off = hasty->summary(ledger, at(0));
  REQUIRE_FALSE(broken_off.has_value());
  CHECK(broken_off.error().kind == Error::Kind::unavailable);
  CHECK_THAT(broken_off.error().text, Contains("took too long"));
  CHECK(must(host.store()->sample_count(ledger)) == 300'001);
}

}  // namespace
}  // namespace fleetledger::test
