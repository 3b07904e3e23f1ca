#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/faulty_fleet.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
namespace fs = std::filesystem;

TEST_CASE("full, read-only and broken disks stop their own ledgers alone, and are used again without a restart") {
  const std::map<std::string, std::string> faults{
      {"full", "the disk is full"}, {"readonly", "it cannot be written"}, {"broken", "Input/output error"}};
  FaultyFleet fleet({"good", "full", "readonly", "broken"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  for (const auto& [name, reason] : faults) {
    fleet.disk.begin(name, name);
  }
  for (const auto& [name, reason] : faults) {
    fleet.await_unavailable(name, reason);
    CHECK(fleet.about(name)["reason"].text.find(fleet.file(name)) != std::string::npos);
    // No file says so: the commands ask the collector.
    for (const auto* command : {"agents", "check"}) {
      CHECK(test::await([&, name = name, reason = reason] {
        const auto told = parse_json(fleet.host.run({command, "--json"}).output)["agents"].with("name", name);
        return told["state"].text == "unavailable" && told["reason"].text.find(reason) != std::string::npos;
      }));
    }
  }
  fleet.await_ticks("good", 2);
  for (const auto& [name, reason] : faults) {
    fleet.disk.end(name, name);
  }
  std::map<std::string, double> dropped;
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_well(name);
    dropped[name] = fleet.dropped(name);
  }
  CHECK(dropped["good"] == 0);
  fleet.end();
  for (const auto& [name, agent] : fleet.agents) {
    INFO(name);
    CHECK(is_intact(agent->path));
    CHECK(static_cast<double>(fleet.missing(name, "good")) == dropped[name]);
  }
}

TEST_CASE("ledgers that are deleted, exchanged, damaged or lose their folder while they are open are gone on with") {
  FaultyFleet fleet({"good", "deleted", "exchanged", "damaged", "folderless", "visited"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  fs::remove(fleet.file("deleted"));
  fs::remove_all(fs::path(fleet.file("folderless")).parent_path());

  // Exchanged as a restored backup is: by rename, whatever lies beside it.
  const auto exchange = [&](const std::string& name, const std::string& with) {
    fs::create_hard_link(fleet.file(name), fleet.host / (name + "-before"));
    fs::rename(with, fleet.file(name));
  };
  const auto backup = fleet.host / "backup.db";
  const auto yesterday = (static_cast<long long>(std::time(nullptr)) - 86'400) * 1000;
  test::PlainDatabase(backup).run(std::string(test::kUpstreamSchema) + test::upstream_insert(yesterday, "restored") +
                                  "PRAGMA wal_checkpoint(TRUNCATE)");
  exchange("exchanged", backup);

  const auto bad = fleet.host / "bad.db";
  test::PlainDatabase(bad).run(std::string(test::kUpstreamSchema) + test::upstream_insert(5, "damaged") +
                               "PRAGMA wal_checkpoint(TRUNCATE)");
  {
    std::fstream file(bad, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(fs::file_size(bad) - 4096, '\xa5');
  }
  const auto damaged = test::text_of_file(bad);
  exchange("damaged", bad);
  fleet.await_unavailable("damaged", "damaged");
  CHECK(fleet.about("damaged")["reason"].text.find(fleet.file("damaged")) != std::string::npos);

  const auto before = fleet.ticks("visited");
  CHECK(test::await([&] {
    test::PlainDatabase(fleet.file("visited")).run(test::upstream_insert(9, "agent-server-before"));
    return fleet.ticks("visited") >= before + 3;
  }));
  for (const auto* name : {"deleted", "exchanged", "folderless", "visited", "good"}) {
    fleet.await_well(name);
  }
  CHECK((test::text_of_file(fleet.file("damaged")) == damaged));
  fs::rename(fleet.file("damaged"), fleet.host / "kept.db");
  fleet.await_well("damaged");
  fleet.end();
  CHECK((test::text_of_file(fleet.host / "kept.db") == damaged));
  for (const auto& [name, agent] : fleet.agents) {
    INFO(name);
    CHECK(is_intact(agent->path));
  }
  const auto restored = read_rows(fleet.path("exchanged"));
  CHECK(std::count_if(restored.begin(), restored.end(), [](const Row& row) { return row.source == "restored"; }) == 1);
  CHECK(test::PlainDatabase(fleet.host / "exchanged-before").value("PRAGMA integrity_check") == "ok");
}

TEST_CASE("a ledger whose pages go bad beneath the collector is named and left as it is, and stops nobody else") {
  FaultyFleet fleet({"good", "rotten"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 3);
  }
  const auto file = fleet.file("rotten");
  // What is in the -wal would cover the pages that go bad: until they have, nothing comes there.
  auto holder = std::make_unique<test::PlainDatabase>(file);
  for (;;) {
    holder->run("PRAGMA wal_checkpoint(TRUNCATE); BEGIN IMMEDIATE");
    if (fs::file_size(file + "-wal") == 0) break;
    holder->run("ROLLBACK");
  }
  const auto size = fs::file_size(file);
  REQUIRE(size > 2 * 4096);
  const std::string rot(size - 4096, '\xa5');
  {
    std::fstream pages(file, std::ios::in | std::ios::out | std::ios::binary);  // all but the first, in place
    pages.seekp(4096);
    pages << rot;
  }
  holder.reset();
  struct stat before {};
  REQUIRE(::stat(file.c_str(), &before) == 0);
  fleet.await_unavailable("rotten", "damaged");
  CHECK(fleet.about("rotten")["reason"].text.find(file) != std::string::npos);
  CHECK(
      fleet.served
          ->get("/agents/" + fleet.listed("rotten")["id"].text + "/resources/samples", fleet.served->operators_token())
          .status == 503);
  fleet.await_ticks("good", 2);
  CHECK(fleet.dropped("good") == 0);

  struct stat after {};
  REQUIRE(::stat(file.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
  CHECK(test::text_of_file(file).substr(4096, rot.size()) == rot);
  // Once it is moved away there is a new one, without a restart.
  fs::rename(file, fleet.host / "rotten.db");
  fleet.await_well("rotten");
  fleet.end();
  CHECK(test::text_of_file(fleet.host / "rotten.db").substr(4096, rot.size()) == rot);
  CHECK(is_intact(fleet.path("good")));
  CHECK(is_intact(fleet.path("rotten")));
}

TEST_CASE("a small disk that is full and one that is mounted read-only stop nobody, and are used once they can be") {
  // Mounts of the test's own, which nobody else sees.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    WARN("skipped: nothing can be mounted here");
    return;
  }
  Host host;
  const ServedAgent good(host, "good");
  const ServedAgent full(host, "full");
  const ServedAgent readonly(host, "readonly");
  const auto place = [](const ServedAgent& agent) { return agent.path + "/.instar/server-data"; };
  const auto mount = [&](const ServedAgent& agent, unsigned long flags) {
    return ::mount("none", place(agent).c_str(), "tmpfs", flags, "size=512k") == 0;
  };
  for (const auto* agent : {&full, &readonly}) {
    fs::create_directory(place(*agent));
    REQUIRE(mount(*agent, 0));
  }
  REQUIRE(mount(readonly, MS_REMOUNT | MS_RDONLY));
  const auto fill = [&] {
    std::ofstream file(place(full) + "/filler", std::ios::app);
    while (file << std::string(4096, 'x') && file.flush()) {
    }
  };
  fill();
  host.register_agents({good.entry(), full.entry(), readonly.entry()});
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  auto daemon = host.start({"run"});
  CHECK(daemon.complains("event=ledger_failed of=full"));
  CHECK(daemon.complains("event=ledger_failed of=readonly"));
  CHECK(test::await([&] { return read_ticks(good.path).size() >= 2; }));
  fs::remove(place(full) + "/filler");
  REQUIRE(mount(readonly, MS_REMOUNT));
  for (const auto* agent : {&full, &readonly}) {
    CHECK(test::await([&] { return !read_ticks(agent->path).empty(); }));
  }
  fill();  // while it is open
  const auto failures = [&] {
    const auto lines = test::lines_of(daemon.errors());
    return std::count_if(lines.begin(), lines.end(), [](const auto& line) {
      return line.find("event=ledger_failed of=full") != std::string::npos;
    });
  };
  CHECK(test::await([&] {
    fill();
    return failures() >= 2;
  }));
  fs::remove(place(full) + "/filler");
  const auto before = read_ticks(full.path).size();
  CHECK(test::await([&] { return read_ticks(full.path).size() > before; }));
  CHECK(daemon.complains("event=over what=ledger_failed of=full"));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  for (const auto* agent : {&good, &full, &readonly}) {
    CHECK(is_intact(agent->path));
    ::umount2(place(*agent).c_str(), MNT_DETACH);
  }
}
