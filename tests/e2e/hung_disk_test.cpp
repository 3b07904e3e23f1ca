#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <map>
#include <memory>
#include <optional>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/faulty_fleet.h"

using namespace fleetledger;
using namespace fleetledger::e2e;

TEST_CASE(
    "the disk of one ledger hangs, then those of five, and one is locked: the others, readers and new agents do not") {
  const std::vector<std::string> hung{"h1", "h2", "h3", "h4", "h5"};
  FaultyFleet fleet({"good", "h1", "h2", "h3", "h4", "h5", "locked"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  std::map<std::string, std::string> ids;
  for (const auto& [name, agent] : fleet.agents) {
    ids[name] = fleet.listed(name)["id"].text;
  }
  const auto token = fleet.served->operators_token();
  // One alone first: all others go on.
  const auto before = fleet.ticks("good");
  fleet.disk.begin("h1", "stall");
  REQUIRE(test::await([&] { return fleet.disk.stalled("h1") > 0; }));
  for (const auto& [name, agent] : fleet.agents) {
    if (name != "h1") {
      fleet.await_ticks(name, 2);
      CHECK(fleet.dropped(name) == 0);
    }
  }
  fleet.await_unavailable("h1", "disk does not answer");

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
    // What waits for a disk is bounded: one tick that the store has and ten in the queue. One may have come at each
    // end.
    fleet.await_ticks("good", 2);
    const auto lower = static_cast<double>(fleet.ticks("good") - before);
    const auto gone = fleet.dropped("h1");
    const auto upper = static_cast<double>(fleet.ticks("good") - before);
    CHECK(lower - gone <= 13);
    CHECK(upper - gone >= 9);
    // Where others keep the host busy a tick may take longer than its second; if it waited for a disk most would.
    CHECK(4 * fleet.left_out() < static_cast<double>(fleet.ticks("good")));

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
  FaultyFleet fleet({"good", "h1", "h2", "h3", "h4", "h5"});
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
  fleet.end_and_say_when();
  CHECK(is_intact(fleet.path("good")));
}

TEST_CASE("looks ended for good, and so did the end, where the disk that ps is started from hung") {
  Host host;
  const test::FaultyDisk disk(host / "faults");
  host.set_variables(disk.environment());
  host.configure(
      "sampling: {sample_interval: 1s, idle_sample_interval: 1s, timeout: 2s}\n"
      "http: {listen: [\"127.0.0.1:0\"]}\n");
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  Served served(host);
  REQUIRE(test::await([&] { return !read_ticks(agent.path).empty(); }));
  const auto failed = [&] {
    const auto metrics = served.get("/metrics", served.operators_token()).body;
    const std::string_view series = "fleetledger_looks_failed_total{of=\"processes\"} ";
    const auto at = metrics.find(std::string("\n") + std::string(series));
    REQUIRE(at != std::string::npos);
    return std::stod(metrics.substr(at + 1 + series.size()));
  };
  const auto before = failed();
  disk.begin("exec", "hang");
  CHECK(test::await([&] { return failed() >= before + 2; }));
  CHECK(served.daemon.errors().find("it could not be started within 2000 ms") != std::string::npos);
  disk.end("exec", "hang");
  const auto ticks = read_ticks(agent.path).size();
  CHECK(test::await([&] { return read_ticks(agent.path).size() > ticks; }));

  const auto stalled = disk.stalled("exec");
  disk.begin("exec", "hang");
  REQUIRE(test::await([&] { return disk.stalled("exec") > stalled; }));
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
  CHECK(is_intact(agent.path));
}
