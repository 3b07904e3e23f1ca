#include <catch2/catch.hpp>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/sqlite/ledger_place.h"
#include "tests/backends/ledgers.h"
#include "tests/backends/sqlite/peer.h"
#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/support/swapper.h"

namespace fleetledger::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// Neither written nor read, with a reason that names the file; the neighbour's ledger is not affected.
void check_refused(LedgerStore& store, const LedgerKey& ledger, const LedgerKey& neighbour, const std::string& reason) {
  const auto written = store.append(ledger, tick({sample(kNoon, "a")}));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().kind == Error::Kind::unavailable);
  CHECK_THAT(written.error().text, Contains(reason) && Contains("resource-ledger.db"));
  const auto read = store.summary(ledger, at(0));
  REQUIRE_FALSE(read.has_value());
  CHECK(read.error().kind == Error::Kind::unavailable);
  CHECK_THAT(read.error().text, Contains(reason) && Contains("resource-ledger.db"));
  must(store.append(neighbour, tick({sample(kNoon, "a")})));
}

TEST_CASE("what is no ledger is refused with a reason and becomes one once it is out of the way") {
  struct Obstacle {
    std::string what;
    std::string reason;
    std::function<void(const std::string& file)> put;
    std::string file_suffix{};
  };
  const auto database = [](const std::string& statements) {
    return [statements](const std::string& file) { PlainDatabase(file).run(statements); };
  };
  const std::string samples =
      "CREATE TABLE resource_samples (ts INTEGER NOT NULL, source TEXT NOT NULL, pid INTEGER, cpu_percent REAL,"
      " rss_bytes INTEGER, heap_used_bytes INTEGER);";
  const std::vector<Obstacle> obstacles{
      {"a link", "it is a link", [](const std::string& file) { fs::create_symlink("/dev/null", file); }},
      {"a link to a ledger", "it is a link",
       [](const std::string& file) {
         PlainDatabase(file + ".other").run(kUpstreamSchema);
         fs::create_symlink(file + ".other", file);
       }},
      {"a folder", "it is a folder", [](const std::string& file) { fs::create_directory(file); }},
      {"a FIFO", "not a regular file", [](const std::string& file) { REQUIRE(::mkfifo(file.c_str(), 0600) == 0); }},
      {"a FIFO as -wal", "not a regular file",
       [](const std::string& file) { REQUIRE(::mkfifo(file.c_str(), 0600) == 0); }, "-wal"},
      {"a link as -shm", "it is a link", [](const std::string& file) { fs::create_symlink("/dev/zero", file); },
       "-shm"},
      {"garbage", "it is not a database", [](const std::string& file) { write(file, std::string(5000, 'g')); }},
      {"a short text", "it is not a database", [](const std::string& file) { write(file, "hello"); }},
      {"a view", "not a plain table (view)", database("CREATE VIEW resource_samples AS SELECT 1 AS ts")},
      {"an index of that name", "not a plain table (index)",
       database("CREATE TABLE t (a); CREATE INDEX resource_samples ON t (a)")},
      {"a virtual table", "not a plain table (virtual table)",
       database("CREATE VIRTUAL TABLE resource_samples USING fts5 (ts, source)")},
      {"a trigger", "has a trigger",
       database(samples + "CREATE TRIGGER t AFTER INSERT ON resource_samples BEGIN DELETE FROM resource_samples; END")},
      {"a trigger on events", "has a trigger",
       database(std::string(kUpstreamSchema) +
                "CREATE TRIGGER t BEFORE INSERT ON rate_limit_events BEGIN SELECT 1; END")},
      {"a view in place of a table of ours", "not a plain table (view)",
       database("CREATE VIEW fleetledger_read_marks AS SELECT 1 AS source")},
      {"a trigger on a table of ours", "has a trigger",
       database("CREATE TABLE fleetledger_recoveries (id TEXT PRIMARY KEY, ts);"
                "CREATE TRIGGER t AFTER INSERT ON fleetledger_recoveries BEGIN SELECT 1; END")},
      {"a table of another kind", "lacks a column", database("CREATE TABLE resource_samples (ts, source)")},
  };
  for (const Obstacle& obstacle : obstacles) {
    DYNAMIC_SECTION(obstacle.what) {
      const Host host;
      const auto store = host.store();
      const LedgerKey ledger = host.agent("echo");
      const LedgerKey neighbour = host.agent("neighbour");
      const std::string file = place_of(*store, ledger) + obstacle.file_suffix;
      fs::create_directories(fs::path(file).parent_path());
      obstacle.put(file);
      const bool regular = fs::is_regular_file(fs::symlink_status(file));
      const std::string before = regular ? content(file) : "";
      check_refused(*store, ledger, neighbour, obstacle.reason);
      CHECK(must(store->sample_count(neighbour)) == 1);
      if (obstacle.reason == "it is not a database") {
        CHECK(content(file) == before);
      }
      CHECK(fs::exists(fs::symlink_status(file)));
      fs::remove_all(fs::path(file).parent_path());
      must(store->append(ledger, tick({sample(kNoon, "a")})));
      CHECK(must(store->sample_count(ledger)) == 1);
    }
  }
}

TEST_CASE("a damaged page is a reason to refuse the ledger, never to delete it") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  std::streamoff root = 0;
  {
    const auto store = host.store();
    AgentTick many;
    for (int index = 0; index < 2000; ++index) {
      many.samples.push_back(sample(kNoon + index, "a"));
    }
    must(store->append(ledger, many));
    root = std::stol(PlainDatabase(place_of(*store, ledger))
                         .value("SELECT rootpage FROM sqlite_master WHERE name = 'resource_samples'"));
  }
  const auto store = host.store();
  const std::string file = place_of(*store, ledger);
  {
    std::fstream page(file, std::ios::binary | std::ios::in | std::ios::out);
    page.seekp((root - 1) * 4096);
    page << std::string(4096, '\xFF');
  }
  const std::string before = content(file);
  const auto written = store->append(ledger, tick({sample(kNoon, "b")}));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().kind == Error::Kind::unavailable);
  CHECK_THAT(written.error().text, Contains("it is damaged") && Contains(file));
  const auto read = store->recent_samples(ledger, {});
  REQUIRE_FALSE(read.has_value());
  CHECK_THAT(read.error().text, Contains("it is damaged"));
  CHECK(content(file) == before);
}

TEST_CASE("an agent without an .instar folder gets no ledger and no folder") {
  const Host host;
  const auto store = host.store();
  LedgerKey ledger = host.agent("echo");
  fs::remove(ledger.agent.path + "/.instar");
  const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
  REQUIRE_FALSE(written.has_value());
  CHECK(written.error().kind == Error::Kind::unavailable);
  CHECK_THAT(written.error().text, Contains("does not exist"));
  CHECK(fs::is_empty(ledger.agent.path));
  CHECK(must(store->sample_count(ledger)) == 0);
}

TEST_CASE("a folder of another user is refused") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can give a folder away");
    return;
  }
  const Host host;
  const auto store = host.store();
  const LedgerKey ledger = host.agent("echo");
  constexpr uid_t kNobody = 65534;
  SECTION(".instar, in which server-data would have to be made") {
    REQUIRE(::chown((ledger.agent.path + "/.instar").c_str(), kNobody, kNobody) == 0);
    const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
    REQUIRE_FALSE(written.has_value());
    CHECK_THAT(written.error().text, Contains("belongs to another user (uid 65534)"));
    CHECK(fs::is_empty(ledger.agent.path + "/.instar"));
  }
  SECTION("server-data, reached by a link") {
    const std::string theirs = host.path() + "/theirs";
    fs::create_directory(theirs);
    REQUIRE(::chown(theirs.c_str(), kNobody, kNobody) == 0);
    fs::create_directory_symlink(theirs, ledger.agent.path + "/.instar/server-data");
    const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
    REQUIRE_FALSE(written.has_value());
    CHECK_THAT(written.error().text, Contains("belongs to another user"));
    CHECK(fs::is_empty(theirs));
  }
}

TEST_CASE("a ledger of another user in a folder of ours is neither read nor written") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can give a file away");
    return;
  }
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const std::string which = GENERATE("", "-wal");
  must(host.store()->append(ledger, tick({sample(kNoon, "a")})));
  const auto store = host.store();
  const std::string file = place_of(*store, ledger) + which;
  std::ofstream(file, std::ios::app).flush();
  REQUIRE(::chown(file.c_str(), 65534, 65534) == 0);
  const auto read = store->sample_count(ledger);
  const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
  REQUIRE_FALSE(read.has_value());
  REQUIRE_FALSE(written.has_value());
  CHECK(read.error().kind == Error::Kind::unavailable);
  CHECK_THAT(read.error().text, Contains(file + ": it belongs to another user (uid 65534)"));
  CHECK(written.error().text == read.error().text);
}

TEST_CASE("no folder for central ledgers is made in another user's folder") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can give a folder away");
    return;
  }
  const Host host;
  const std::string theirs = host.path() + "/theirs";
  fs::create_directory(theirs);
  REQUIRE(::chown(theirs.c_str(), 65534, 65534) == 0);
  const auto store = must(open_store("sqlite", {.central_directory = theirs + "/state/ledgers"}));
  const auto written = store->append(host.agent("echo", LedgerLocation::central), tick({sample(kNoon, "a")}));
  REQUIRE_FALSE(written.has_value());
  CHECK_THAT(written.error().text, Contains(theirs + " belongs to another user"));
  CHECK(fs::is_empty(theirs));
}

TEST_CASE("while an agent's folder was swapped for another user's, a folder was made in that") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can give a folder away");
    return;
  }
  const Host host;
  const LedgerPlace place = own_place(host.agent("echo").agent);
  const std::string theirs = host.path() + "/theirs";
  fs::create_directory(theirs);
  REQUIRE(::chown(theirs.c_str(), 65534, 65534) == 0);
  fs::create_directory_symlink(theirs, host.path() + "/link");
  int made = 0;
  int refused = 0;
  const int ours = ::open(place.home.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // whatever its name stands for
  {
    const Swapper swapper(place.home, host.path() + "/link");
    while (made < 500 || refused < 500) {
      prepare_ledger(place) ? ++made : ++refused;
      ::unlinkat(ours, "server-data/resource-ledger.db", 0);
      ::unlinkat(ours, "server-data", AT_REMOVEDIR);
    }
  }
  ::close(ours);
  CHECK(fs::is_empty(theirs));
}

TEST_CASE("a folder of our own that is reached by a link is as good as any") {
  const Host host;
  const auto store = host.store();
  const LedgerKey ledger = host.agent("echo");
  fs::create_directory(host.path() + "/elsewhere");
  fs::create_directory_symlink(host.path() + "/elsewhere", ledger.agent.path + "/.instar/server-data");
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(must(store->sample_count(ledger)) == 1);
  CHECK(fs::exists(host.path() + "/elsewhere/resource-ledger.db"));
}

TEST_CASE("a value too large to be handled is a reason, not a load") {
  const Host host;
  const auto store = host.store();
  const LedgerKey ledger = host.agent("echo");
  must(store->append(ledger, tick({sample(kNoon, "a")}, {event(kNoon, 1)})));
  PlainDatabase(place_of(*store, ledger)).run("UPDATE rate_limit_events SET detail = zeroblob(50000000)");
  const auto read = store->rate_limit_report(ledger, at(0));
  REQUIRE_FALSE(read.has_value());
  CHECK_THAT(read.error().text, Contains("too large"));
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(must(store->sample_count(ledger)) == 2);
}

/// A folder that cannot be written as long as this lives. For root a mount makes it so, if mounting is allowed.
class ReadOnlyFolder {
 public:
  explicit ReadOnlyFolder(std::string path) : path_(std::move(path)) {
    if (::geteuid() != 0) {
      done_ = ::chmod(path_.c_str(), 0500) == 0;
      return;
    }
    mounted_ = ::mount(path_.c_str(), path_.c_str(), nullptr, MS_BIND, nullptr) == 0;
    done_ = mounted_ && ::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
  }
  ReadOnlyFolder(const ReadOnlyFolder&) = delete;
  ReadOnlyFolder& operator=(const ReadOnlyFolder&) = delete;
  ~ReadOnlyFolder() {
    if (mounted_) {
      ::umount2(path_.c_str(), MNT_DETACH);
    } else {
      ::chmod(path_.c_str(), 0700);
    }
  }
  [[nodiscard]] explicit operator bool() const { return done_; }

 private:
  std::string path_;
  bool mounted_ = false;
  bool done_ = false;
};

TEST_CASE("a folder that cannot be written refuses writes, and gives its rows to readers") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const std::string folder = ledger.agent.path + "/.instar/server-data";
  { must(host.store()->append(ledger, tick({sample(kNoon, "a")}))); }
  const auto store = host.store();
  {
    const ReadOnlyFolder locked(folder);
    if (!locked) {
      WARN("skipped: root may not mount here, and modes do not bind it");
      return;
    }
    CHECK(must(store->sample_count(ledger)) == 1);  // just now written
    const auto written = store->append(ledger, tick({sample(kNoon, "a")}));
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().kind == Error::Kind::unavailable);
    CHECK_THAT(written.error().text, Contains("cannot be"));
  }
  fs::last_write_time(place_of(*store, ledger), fs::file_time_type::clock::now() - std::chrono::hours{1});
  {
    const ReadOnlyFolder locked(folder);
    CHECK(must(store->sample_count(ledger)) == 1);  // at rest
  }
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  {
    const ReadOnlyFolder locked(folder);
    CHECK(must(store->sample_count(ledger)) == 2);  // open elsewhere: its -shm is there
  }
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  CHECK(must(store->sample_count(ledger)) == 3);
}

TEST_CASE("where rows wait in a -wal that cannot be read without writing, they are missed loudly or not at all") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  Peer writer({"store", ledger.agent.path});
  REQUIRE(writer.read(20) == 20);
  writer.kill();
  const std::int64_t rows = must(store->sample_count(ledger));
  REQUIRE(rows >= 60);
  REQUIRE(fs::file_size(place_of(*store, ledger) + "-wal") > 0);
  fs::remove(place_of(*store, ledger) + "-shm");
  const ReadOnlyFolder locked(ledger.agent.path + "/.instar/server-data");
  if (!locked) {
    WARN("skipped: root may not mount here, and modes do not bind it");
    return;
  }
  const auto read = store->sample_count(ledger);
  if (read) {
    CHECK(*read == rows);
  } else {
    CHECK(read.error().kind == Error::Kind::unavailable);
    CHECK_THAT(read.error().text, Contains("cannot be opened"));
  }
}

TEST_CASE("on a full disk an append fails whole and works again once there is room") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const std::string folder = ledger.agent.path + "/.instar/server-data";
  fs::create_directory(folder);
  struct Mount {
    std::string path;
    bool done;
    ~Mount() {
      if (done) {
        ::umount2(path.c_str(), MNT_DETACH);
      }
    }
  };
  const Mount disk{folder, ::mount("none", folder.c_str(), "tmpfs", 0, "size=400k") == 0};
  if (!disk.done) {
    WARN("skipped: no small file system can be mounted here");
    return;
  }
  const auto store = host.store();
  AgentTick big;
  for (int index = 0; index < 100; ++index) {
    big.samples.push_back(sample(kNoon, "session:" + std::to_string(index)));
  }
  std::int64_t written = 0;
  Result<LedgerStanding> last{};
  for (int index = 0; index < 200 && last; ++index) {
    last = store->append(ledger, big);
    written += last ? 100 : 0;
  }
  REQUIRE_FALSE(last.has_value());
  CHECK(last.error().kind == Error::Kind::unavailable);
  CHECK_THAT(last.error().text, Contains("disk"));
  REQUIRE(written > 0);
  CHECK(must(store->sample_count(ledger)) == written);
  REQUIRE(::mount("none", folder.c_str(), "tmpfs", MS_REMOUNT, "size=4m") == 0);
  must(store->append(ledger, big));
  CHECK(must(store->sample_count(ledger)) == written + 100);
  CHECK(PlainDatabase(place_of(*store, ledger)).value("PRAGMA integrity_check") == "ok");
}

TEST_CASE("where the system refuses to let the file grow an append fails whole and works again afterwards") {
  const Host host;
  const LedgerKey ledger = host.agent("echo");
  const auto store = host.store();
  must(store->append(ledger, tick({sample(kNoon, "a")})));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = fs::file_size(place_of(*store, ledger) + "-wal");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const auto refused = store->append(ledger, tick({sample(kNoon, "a"), sample(kNoon, "b")}));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == Error::Kind::unavailable);
  CHECK(must(store->sample_count(ledger)) == 1);
  must(store->append(ledger, tick({sample(kNoon, "a"), sample(kNoon, "b")})));
  CHECK(must(store->sample_count(ledger)) == 3);
}

}  // namespace
}  // namespace fleetledger::test
