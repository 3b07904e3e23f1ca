#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/peer.h"
#include "tests/backends/sqlite/plain_sqlite.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_CASE("a ledger that somebody else is writing is busy and takes the tick afterwards") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  PlainDatabase other(place_of(*store, ledger));
  other.run("BEGIN IMMEDIATE");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().kind == Error::Kind::busy);
    CHECK_THAT(written.error().text, Contains("another process holds it"));
    CHECK(must(store->sample_count(ledger)) == 1);
  }
  other.run("COMMIT");
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(must(store->sample_count(ledger)) == 2);
}

TEST_CASE("a ledger that is locked when our columns are to be added is busy and gets them afterwards") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  fs::create_directories(ledger.agent.path + "/.instar/server-data");
  PlainDatabase upstream(place_of(*store, ledger));
  upstream.run(std::string(kUpstreamSchema) + "BEGIN IMMEDIATE");
  const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().kind == Error::Kind::busy);
  upstream.run("COMMIT");
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(must(store->sample_count(ledger)) == 1);
}

TEST_CASE("several stores that add our columns at the same time do not get in each other's way") {
  for (int round = 0; round < 5; ++round) {
    const Host host;
    const LedgerKey ledger = host.agent("echo");
    fs::create_directories(ledger.agent.path + "/.instar/server-data");
    PlainDatabase(place_of(*host.store(), ledger)).run(kUpstreamSchema);
    constexpr std::size_t kStores = 4;
    std::vector<std::string> errors(kStores);
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index < kStores; ++index) {
      threads.emplace_back([&host, &ledger, &error = errors[index]] {
        const auto store = open_store("sqlite", host.options());
        for (auto done = (*store)->append(ledger, tick({sample(kNoon, "a")})); !done;) {
          if (done.error().kind != Error::Kind::busy) {
            error = done.error().text;
            return;
          }
          done = (*store)->append(ledger, tick({sample(kNoon, "a")}));
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    CHECK(errors == std::vector<std::string>(kStores));
    CHECK(must(host.store()->sample_count(ledger)) == kStores);
  }
}

TEST_CASE("a ledger that was deleted or replaced while it was open is opened anew") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  const std::string file = place_of(*store, ledger);
  must(store->append(ledger, tick({sample(kNoon, "a"), sample(kNoon, "b")})));
  SECTION("deleted with all that belongs to it") {
    fs::remove_all(fs::path(file).parent_path());
    CHECK(must(store->sample_count(ledger)) == 0);
    must(store->append(ledger, tick({sample(kNoon, "a")})));
    CHECK(must(store->sample_count(ledger)) == 1);
  }
  SECTION("deleted alone, its -wal left behind") {
    fs::remove(file);
    must(store->append(ledger, tick({sample(kNoon, "a")})));
    CHECK(must(store->sample_count(ledger)) == 1);
  }
  SECTION("replaced by another") {
    PlainDatabase(file + ".new")
        .run(std::string(kUpstreamSchema) + upstream_insert(5, "restored") + "PRAGMA wal_checkpoint(TRUNCATE)");
    fs::remove(file + "-wal");
    fs::remove(file + "-shm");
    fs::rename(file + ".new", file);
    must(store->append(ledger, tick({sample(kNoon, "a")})));
    CHECK(must(store->sample_count(ledger)) == 2);
    CHECK(must(store->recent_samples(ledger, {.source = "restored"})).size() == 1);
  }
  CHECK(PlainDatabase(file).value("PRAGMA integrity_check") == "ok");
  CHECK(PlainDatabase(file).value("SELECT count(*) FROM resource_samples WHERE source = 'a'") == "1");
}

TEST_CASE(
    "a ledger that is exchanged while rows wait in its -wal is not mixed with them, and they are in the old one") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  const std::string file = place_of(*store, ledger);
  for (int i = 0; i < 20; ++i) {
    must(store->append(ledger, tick({sample(kNoon, "ours"), sample(kNoon, "session:" + std::to_string(i))})));
  }
  must(store->recent_samples(ledger, {}));
  fs::create_hard_link(file, file + ".old");
  PlainDatabase(file + ".new")
      .run(std::string(kUpstreamSchema) + upstream_insert(5, "restored") + "PRAGMA wal_checkpoint(TRUNCATE)");
  const bool damaged = GENERATE(false, true);
  std::string bytes;
  if (damaged) {
    std::fstream(file + ".new", std::ios::in | std::ios::out | std::ios::binary).seekp(4096)
        << std::string(fs::file_size(file + ".new") - 4096, '\xa5');
    bytes = text_of(file + ".new");
  }
  fs::rename(file + ".new", file);
  const auto written = store->append(ledger, tick({sample(kNoon, "new")}));
  REQUIRE(written.has_value() == !damaged);
  if (damaged) {
    CHECK(written.error().kind == Error::Kind::unavailable);
    CHECK((text_of(file) == bytes));
  } else {
    CHECK(must(store->sample_count(ledger)) == 2);
    CHECK(PlainDatabase(file).value("PRAGMA integrity_check") == "ok");
    CHECK(PlainDatabase(file).value("SELECT count(*) FROM resource_samples WHERE source = 'restored'") == "1");
  }
  CHECK(PlainDatabase(file + ".old").value("PRAGMA integrity_check") == "ok");
  CHECK(PlainDatabase(file + ".old").value("SELECT count(*) FROM resource_samples") == "40");
}

TEST_CASE("a trigger or a view that appears while the ledger is open does not act on our rows") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  PlainDatabase other(place_of(*store, ledger));
  SECTION("a trigger") {
    other.run("CREATE TRIGGER t AFTER INSERT ON resource_samples BEGIN DELETE FROM resource_samples; END");
    must(store->append(ledger, tick({sample(kNoon, "b")})));
    CHECK(other.value("SELECT count(*) FROM resource_samples") == "2");
    other.run("DROP TRIGGER t");
  }
  SECTION("a view in place of the table") {
    other.run("ALTER TABLE resource_samples RENAME TO mine; CREATE VIEW resource_samples AS SELECT * FROM mine");
    const auto written = store->append(ledger, tick({sample(kNoon, "b")}));
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().kind == Error::Kind::unavailable);
    other.run("DROP VIEW resource_samples; ALTER TABLE mine RENAME TO resource_samples");
    must(store->append(ledger, tick({sample(kNoon, "b")})));
  }
  CHECK(must(store->sample_count(ledger)) == 2);
}

TEST_CASE("a writer that is killed leaves whole ticks and all that it said it had written") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  int committed = 0;
  for (const int ticks : {1, 7, 40, 150}) {
    Peer writer({"store", ledger.agent.path});
    const int got = writer.read(ticks);
    writer.kill();
    REQUIRE(got == ticks);
    committed += got;
    const auto summary = must(store->summary(ledger, at(0)));
    REQUIRE(summary.sources.size() == 3);
    CHECK(summary.sources[0].sample_count == summary.sources[1].sample_count);
    CHECK(summary.sources[0].sample_count == summary.sources[2].sample_count);
    CHECK(summary.sources[0].sample_count >= committed);
  }
  CHECK(PlainDatabase(place_of(*store, ledger)).value("PRAGMA integrity_check") == "ok");
}

// SQLite's locks belong to the process and go with the first descriptor on the file that it closes. Then another
// process that closes the ledger takes itself for the last one and deletes the -wal that we still write to.
TEST_CASE("while another process opens, writes and closes the ledger no committed row is lost on either side") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "ours")})));
  constexpr int kTheirs = 150;
  int ours = 1;
  int status = 0;
  std::int64_t seen = 0;
  Peer peer({"plain", place_of(*store, ledger), std::to_string(kTheirs)});
  while (!peer.ended(status)) {
    const auto written = store->append(ledger, tick({sample(kNoon, "ours")}));
    ours += written ? 1 : 0;
    if (!written) {
      CHECK(written.error().kind == Error::Kind::busy);
    }
    const auto count = store->sample_count(ledger);
    if (count) {
      CHECK(*count >= std::max<std::int64_t>(seen, ours));
      seen = *count;
    } else {
      CHECK(count.error().kind == Error::Kind::busy);
    }
    must(store->summary(ledger, at(0)));
  }
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  CHECK(must(store->sample_count(ledger)) == ours + kTheirs);
  store->release(ledger);
  PlainDatabase database(place_of(*store, ledger));
  CHECK(database.value("SELECT count(*) FROM resource_samples WHERE source = 'peer'") == std::to_string(kTheirs));
  CHECK(database.value("SELECT count(*) FROM resource_samples WHERE source = 'ours'") == std::to_string(ours));
  CHECK(database.value("PRAGMA integrity_check") == "ok");
}

}  // namespace
}  // namespace fleetledger::test
