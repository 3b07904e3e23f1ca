#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sched.h>
#include <sys/mount.h>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"
#include "tests/support/faulty_disk.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
namespace fs = std::filesystem;

namespace {

constexpr auto kServed =
    "http: {listen: [\"127.0.0.1:0\"]}\n"
    "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n"
    "storage: {location: agent}\n";

/// Agents of one host under a collector that serves, whose disks fail as the test says.
struct Fleet {
  explicit Fleet(const std::vector<std::string>& names) {
    host.set_variables(disk.environment());
    host.configure(kServed);
    for (const auto& name : names) {
      add(name);
    }
    served = std::make_unique<Served>(host);
  }

  void add(const std::string& name) {
    agents.emplace(name, std::make_unique<ServedAgent>(host, name));
    std::vector<Host::Entry> entries;
    for (const auto& [called, agent] : agents) {
      entries.push_back(agent->entry());
    }
    host.register_agents(entries);
  }

  [[nodiscard]] const std::string& path(const std::string& name) const { return agents.at(name)->path; }
  [[nodiscard]] std::string file(const std::string& name) const { return ledger_file(path(name)); }
  [[nodiscard]] std::size_t ticks(const std::string& name) const { return read_ticks(path(name)).size(); }
  void await_ticks(const std::string& name, std::size_t more) const {
    INFO(name);
    const auto before = ticks(name);
    REQUIRE(test::await([&] { return ticks(name) >= before + more; }));
  }

  [[nodiscard]] Json listed(const std::string& name) const {
    return parse_json(served->get("/agents", served->operators_token()).body)["agents"].with("name", name);
  }
  [[nodiscard]] Json about(const std::string& name) const {
    return parse_json(served->get("/agents/" + listed(name)["id"].text, served->operators_token()).body);
  }
  /// Waits until it is said that its ledger cannot be used: why, and since when.
  void await_unavailable(const std::string& name, const std::string& reason) const {
    INFO(name);
    CHECK(test::await([&] {
      const auto said = about(name);
      return said["state"].text == "unavailable" && said["reason"].text.find(reason) != std::string::npos &&
             !said["ledger"].is_null() && !said["ledger"]["failingSince"].is_null();
    }));
    CHECK(about(name)["reason"].text.find(reason) != std::string::npos);
  }
  void await_well(const std::string& name) const {
    INFO(name);
    await_ticks(name, 1);
    CHECK(test::await([&] {
      const auto said = about(name);
      return said["state"].text == "idle" && said["ledger"]["failingSince"].is_null();
    }));
  }

  /// The value of the series that is written like this.
  [[nodiscard]] double metric(const std::string& series) const {
    for (const auto& line : test::lines_of(served->get("/metrics", served->operators_token()).body)) {
      if (line.starts_with(series + ' ')) {
        return std::stod(line.substr(series.size()));
      }
    }
    return -1;
  }
  [[nodiscard]] double dropped(const std::string& name) const {
    return metric("fleetledger_ledger_dropped_ticks_total{agent=\"" + listed(name)["id"].text + "\"}");
  }

  void end() {
    served->daemon.signal(SIGTERM);
    CHECK(served->daemon.exit_code() == 0);
  }

  /// After the end: what this ledger lacks of the ticks of `good`, which was never in want.
  [[nodiscard]] std::size_t missing(const std::string& name, const std::string& good) const {
    const auto all = read_ticks(path(good));
    const auto kept = read_ticks(path(name));
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const auto ts) { return !kept.contains(ts); }));
  }

  Host host;
  test::FaultyDisk disk{host / "faults"};
  std::map<std::string, std::unique_ptr<ServedAgent>> agents;
  std::unique_ptr<Served> served;
};

}  // namespace

TEST_CASE(
    "the disks of five ledgers hang and one is locked: the others, their readers, new agents and the end do not") {
  const std::vector<std::string> hung{"h1", "h2", "h3", "h4", "h5"};
  Fleet fleet({"good", "h1", "h2", "h3", "h4", "h5", "locked"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  std::map<std::string, std::string> ids;
  for (const auto& [name, agent] : fleet.agents) {
    ids[name] = fleet.listed(name)["id"].text;
  }
  const auto token = fleet.served->operators_token();
  test::PlainDatabase holder(fleet.file("locked"));
  holder.run("BEGIN IMMEDIATE");
  for (const auto& name : hung) {
    fleet.disk.begin(name, "stall");
  }
  for (const auto& name : hung) {
    REQUIRE(test::await([&] { return fleet.disk.stalled(name) > 0; }));
  }

  {
    // More readers of the ledgers that hang than there are threads for.
    test::TestLoop loop;
    std::vector<std::unique_ptr<test::RawClient>> waiting;
    const auto ask = [&](const std::string& name) {
      waiting.push_back(std::make_unique<test::RawClient>(loop.get(), fleet.served->address));
      waiting.back()->send("GET /agents/" + ids[name] + "/resources/samples HTTP/1.1\r\nHost: localhost\r\n" +
                           "Authorization: Bearer " + token + "\r\n\r\n");
    };
    for (int i = 0; i < 10; ++i) {
      for (const auto& name : hung) {
        ask(name);
      }
    }
    loop.await(
        [&] { return std::all_of(waiting.begin(), waiting.end(), [](const auto& each) { return each->sent(); }); });
    CHECK(fleet.served->get("/agents/" + ids["good"] + "/resources/samples", token).status == 200);
    CHECK(fleet.served->get("/metrics", token).status == 200);
    fleet.add("late");
    CHECK(test::await([&] { return fleet.ticks("late") >= 1; }));
    for (const auto& name : hung) {
      fleet.await_unavailable(name, "disk does not answer");
    }
    CHECK(fleet.served->get("/agents/" + ids["h1"] + "/resources/samples", token).status == 503);
    fleet.await_unavailable("locked", "another process holds it");
    // Long enough that the queues are full and ticks are dropped.
    CHECK(test::await([&] { return fleet.dropped("h1") > 0 && fleet.dropped("locked") > 0; }));
    CHECK(fleet.dropped("good") == 0);
    CHECK(fleet.metric("fleetledger_ticks_skipped_total{reason=\"running\"}") == 0);

    for (const auto& name : hung) {
      fleet.disk.end(name, "stall");
    }
    holder.run("ROLLBACK");
    for (auto& client : waiting) {
      std::optional<test::Reply> reply;
      loop.await([&] { return (reply = client->take_reply()).has_value(); });
      CHECK((reply->status == 200 || reply->status == 503));
    }
  }
  std::map<std::string, double> dropped;
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_well(name);
    dropped[name] = fleet.dropped(name);
  }
  fleet.end();
  for (const auto& [name, agent] : fleet.agents) {
    INFO(name);
    CHECK(is_intact(agent->path));
    if (name != "late") {
      CHECK(static_cast<double>(fleet.missing(name, "good")) == dropped[name]);
    }
  }
}

TEST_CASE("SIGTERM ends the collector though the disks of five ledgers and their readers hang") {
  const std::vector<std::string> hung{"h1", "h2", "h3", "h4", "h5"};
  Fleet fleet({"good", "h1", "h2", "h3", "h4", "h5"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  const auto id = fleet.listed("h1")["id"].text;
  for (const auto& name : hung) {
    fleet.disk.begin(name, "stall");
  }
  for (const auto& name : hung) {
    REQUIRE(test::await([&] { return fleet.disk.stalled(name) > 0; }));
  }
  test::TestLoop loop;
  test::RawClient reader(loop.get(), fleet.served->address);
  const auto calls = fleet.disk.stalled("h1");
  reader.send("GET /agents/" + id + "/resources/samples HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
              fleet.served->operators_token() + "\r\n\r\n");
  loop.await([&] { return reader.sent() || reader.ended(); });
  REQUIRE(test::await([&] { return fleet.disk.stalled("h1") > calls; }));
  fleet.await_ticks("good", 1);
  const auto asked = std::chrono::steady_clock::now();
  fleet.end();
  std::printf("ended %.3f s after SIGTERM\n",
              std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count());
  CHECK(is_intact(fleet.path("good")));
}

TEST_CASE("full, read-only and broken disks stop their own ledgers alone, and are used again without a restart") {
  const std::map<std::string, std::string> faults{
      {"full", "the disk is full"}, {"readonly", "it cannot be written"}, {"broken", "Input/output error"}};
  Fleet fleet({"good", "full", "readonly", "broken"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  for (const auto& [name, reason] : faults) {
    fleet.disk.begin(name, name);
  }
  for (const auto& [name, reason] : faults) {
    fleet.await_unavailable(name, reason);
    CHECK(fleet.about(name)["reason"].text.find(fleet.file(name)) != std::string::npos);
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
  Fleet fleet({"good", "deleted", "exchanged", "damaged", "folderless", "visited"});
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
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  for (const auto* agent : {&good, &full, &readonly}) {
    CHECK(is_intact(agent->path));
    ::umount2(place(*agent).c_str(), MNT_DETACH);
  }
}
