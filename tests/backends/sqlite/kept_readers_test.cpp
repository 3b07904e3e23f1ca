#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/plain_sqlite.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

/// How many descriptors of this process lead to files below a folder.
std::size_t open_files(const std::string& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone);
    count += target.starts_with(folder + "/") ? 1U : 0U;
  }
  return count;
}

/// A ledger that is written and was read, so that a reader is kept.
struct Kept {
  Host host;
  LedgerKey ledger = host.agent("echo");
  std::unique_ptr<LedgerStore> store = host.store();
  std::string file = place_of(*store, ledger);

  Kept() {
    must(store->append(ledger, tick({sample(kNoon, "a")}, {event(kNoon, 1)})));
    const auto before = open_files(ledger.agent.path);
    CHECK(rows() == 1);
    CHECK(open_files(ledger.agent.path) > before);
  }
  [[nodiscard]] std::int64_t rows() const { return must(store->sample_count(ledger)); }
};

TEST_CASE("a ledger that we write is opened for reading once, and every read sees what was written before it") {
  const Kept kept;
  const auto open = open_files(kept.ledger.agent.path);
  for (int round = 1; round < 20; ++round) {
    must(kept.store->append(kept.ledger, tick({sample(kNoon + round, "a")}, {event(kNoon + round, 1)})));
    CHECK(kept.rows() == round + 1);
    CHECK(must(kept.store->activity(kept.ledger, at(kNoon - 1), at(kNoon + round))).events.size() ==
          static_cast<std::size_t>(round) + 1);
    CHECK(open_files(kept.ledger.agent.path) == open);
  }
  // What other programs write, too.
  PlainDatabase(kept.file).run(upstream_insert(kNoon + 100, "theirs"));
  CHECK(kept.rows() == 21);
}

TEST_CASE("of a ledger that is let go nothing stays open, and no -wal is left") {
  const Kept kept;
  kept.store->release(kept.ledger);
  CHECK(open_files(kept.ledger.agent.path) == 0);
  CHECK(fs::exists(kept.file));
  CHECK_FALSE(fs::exists(kept.file + "-wal"));
  CHECK(kept.rows() == 1);
  CHECK(open_files(kept.ledger.agent.path) == 0);
}

TEST_CASE("a ledger that we do not write is not kept open by reading it") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  fs::create_directories(ledger.agent.path + "/.instar/server-data");
  const std::string file = place_of(*store, ledger);
  {
    PlainDatabase upstream(file);
    upstream.run(kUpstreamSchema + upstream_insert(kNoon, "agent-server"));
    CHECK(must(store->sample_count(ledger)) == 1);
    CHECK(fs::exists(file + "-wal"));
  }
  CHECK_FALSE(fs::exists(file + "-wal"));
  CHECK(open_files(ledger.agent.path) == 0);
}

TEST_CASE("a ledger that was replaced or deleted is read as it is now") {
  Kept kept;
  {
    const Kept other;
    must(other.store->append(other.ledger, tick({sample(kNoon, "b"), sample(kNoon + 1, "b")})));
    other.store->release(other.ledger);
    fs::copy_file(other.file, kept.file + ".new");
  }
  for (const auto* suffix : {"-wal", "-shm"}) {
    fs::remove(kept.file + suffix);
  }
  fs::rename(kept.file + ".new", kept.file);
  CHECK(kept.rows() == 3);
  for (const auto* suffix : {"", "-wal", "-shm"}) {
    fs::remove(kept.file + suffix);
  }
  CHECK(kept.rows() == 0);
  must(kept.store->append(kept.ledger, tick({sample(kNoon, "c")})));
  CHECK(kept.rows() == 1);
}

TEST_CASE("a folder that is replaced by a link to another one is read where it leads now") {
  Kept kept;
  const Kept other;
  must(other.store->append(other.ledger, tick({sample(kNoon, "b"), sample(kNoon + 1, "b")})));
  other.store->release(other.ledger);
  const std::string folder = fs::path(kept.file).parent_path();
  fs::rename(folder, folder + ".old");
  fs::create_directory_symlink(fs::path(other.file).parent_path(), folder);
  CHECK(kept.rows() == 3);
}

TEST_CASE("a ledger whose schema another program changes is checked again before it is read") {
  const Kept kept;
  PlainDatabase other(kept.file);
  other.run("ALTER TABLE resource_samples ADD COLUMN theirs TEXT");
  CHECK(kept.rows() == 1);
  other.run("CREATE TRIGGER bad AFTER INSERT ON resource_samples BEGIN DELETE FROM resource_samples; END");
  const auto refused = kept.store->sample_count(kept.ledger);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::unavailable);
  CHECK_THAT(refused.error().text, Contains("has a trigger"));
  other.run("DROP TRIGGER bad");
  CHECK(kept.rows() == 1);
  other.run("ALTER TABLE resource_samples RENAME TO old; CREATE VIEW resource_samples AS SELECT * FROM old");
  CHECK_FALSE(kept.store->sample_count(kept.ledger));
}

TEST_CASE("a kept reader holds nobody up who checkpoints or vacuums the ledger") {
  const Kept kept;
  PlainDatabase other(kept.file);
  for (int round = 1; round < 5; ++round) {
    must(kept.store->append(kept.ledger, tick({sample(kNoon + round, "a")})));
    CHECK(kept.rows() == round + 1);
    CHECK(other.rows("PRAGMA wal_checkpoint(TRUNCATE)").at(0).at(0) == "0");
    other.run("VACUUM");
    CHECK(kept.rows() == round + 1);
  }
}

}  // namespace
}  // namespace fleetledger::test
