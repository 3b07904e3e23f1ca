#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "collector/discovery/folder_readers.h"
#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/faulty_fleet.h"

using namespace fleetledger;
using namespace fleetledger::e2e;

// The disk hangs under whole folders of agents: config, sessions, log and ledger.

namespace {

const std::vector<std::string> kHung{"h1", "h2", "h3", "h4", "h5"};

std::size_t entries(const test::Program& program, const std::string& of) {
  const auto folder = "/proc/" + std::to_string(program.pid()) + '/' + of;
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// A line of the rate-limit sentinel of now.
void say(const std::string& agent_path) {
  using namespace std::chrono;
  std::filesystem::create_directories(agent_path + "/logs");
  std::ofstream(agent_path + "/logs/sentinel-events.jsonl", std::ios::app)
      << R"({"timestamp":)" << duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()
      << R"(,"sentinel":"rate-limit","kind":"throttle-detected","sessionName":"build"})" << '\n';
}

std::string events_of(const FaultyFleet& fleet, const std::string& name) {
  return test::PlainDatabase(fleet.file(name)).value("SELECT count(*) FROM rate_limit_events");
}

bool is_in_state(const FaultyFleet& fleet, const std::string& name, const std::string& state) {
  return test::await([&] { return fleet.listed(name)["state"].text == state; });
}

/// Lets all that is known be looked at and watched, and then the disks hang.
void hang(FaultyFleet& fleet) {
  for (const auto& [name, agent] : fleet.agents) {
    say(agent->path);
  }
  for (const auto& [name, agent] : fleet.agents) {
    INFO(name);
    REQUIRE(test::await([&, &called = name] { return events_of(fleet, called) == "1"; }));
  }
  for (const auto& name : kHung) {
    fleet.disk.begin(name, "hang");
  }
  for (const auto& name : kHung) {
    INFO(name);
    // So that it is looked at now, and not only when all files are.
    const auto config = fleet.agents.at(name)->path + "/.instar/config.json";
    std::filesystem::last_write_time(config, std::filesystem::file_time_type::clock::now());
    REQUIRE(test::await([&] { return fleet.disk.stalled(name) > 0; }));
  }
}

}  // namespace

TEST_CASE("the folders of five agents hang: all others are read and watched, and the five come back by themselves") {
  FaultyFleet fleet({"good", "h1", "h2", "h3", "h4", "h5", "other"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  const auto& daemon = fleet.served->daemon;
  const auto threads = entries(daemon, "task");
  hang(fleet);
  // More logs that want to be read than are read at a time.
  for (const auto& [name, agent] : fleet.agents) {
    say(agent->path);
  }
  fleet.host.write_session(fleet.path("h1"), "meanwhile", "nowhere");
  for (const auto& name : kHung) {
    INFO(name);
    CHECK(is_in_state(fleet, name, "unavailable"));
    // At first it may be its ledger that is found to hang.
    CHECK(test::await([&] {
      return fleet.listed(name)["reason"].text.find("the disk does not answer since 20") != std::string::npos;
    }));
  }

  fleet.host.write_session(fleet.path("good"), "s1", "nowhere");
  CHECK(is_in_state(fleet, "good", "sampling"));
  CHECK(test::await([&] { return events_of(fleet, "good") == "2"; }));
  fleet.host.write_agent_config(fleet.path("other"), "{}");
  CHECK(is_in_state(fleet, "other", "off"));
  fleet.add("late");
  CHECK(test::await([&] { return fleet.ticks("late") >= 1; }));

  fleet.await_ticks("good", 2);
  CHECK(entries(daemon, "task") <= threads + FolderReaders::kMostHanging + 1);
  const auto descriptors = entries(daemon, "fd");
  fleet.await_ticks("good", 5);
  CHECK(entries(daemon, "task") <= threads + FolderReaders::kMostHanging + 1);
  CHECK(entries(daemon, "fd") <= descriptors + 5);  // one for each connection of this test that is being closed
  CHECK(fleet.dropped("good") == 0);
  for (const auto& name : kHung) {
    CHECK(fleet.listed(name)["state"].text == "unavailable");
  }

  for (const auto& name : kHung) {
    fleet.disk.end(name, "hang");
  }
  CHECK(is_in_state(fleet, "h1", "sampling"));
  for (const auto& name : kHung) {
    INFO(name);
    fleet.await_ticks(name, 1);
    CHECK(is_in_state(fleet, name, name == "h1" ? "sampling" : "idle"));
    CHECK(test::await([&] { return events_of(fleet, name) == "2"; }));
  }
  CHECK(test::await([&] { return entries(daemon, "task") <= threads + 1; }));
  fleet.end();
  for (const auto& [name, agent] : fleet.agents) {
    INFO(name);
    CHECK(is_intact(agent->path));
  }
}

TEST_CASE("a folder that hangs while the collector starts keeps no other waiting, and is found when it answers") {
  Host host;
  test::FaultyDisk disk(host / "faults");
  host.set_variables(disk.environment());
  host.configure(kServedEverySecond);
  const ServedAgent good(host, "good");
  const ServedAgent hung(host, "hung");
  host.register_agents({good.entry(), hung.entry()});
  disk.begin("hung", "hang");
  Served served(host);
  REQUIRE(test::await([&] { return read_ticks(good.path).size() >= 2; }));
  CHECK(disk.stalled("hung") > 0);
  CHECK(!std::filesystem::exists(ledger_file(hung.path)));
  // Nor do the commands that look by themselves wait for it.
  const auto checked = host.run({"check"});
  CAPTURE(checked.output, checked.errors);
  CHECK(checked.output.find("the disk does not answer since 20") != std::string::npos);
  CHECK(host.run({"agents"}).code == 0);
  disk.end("hung", "hang");
  CHECK(test::await([&] { return !read_ticks(hung.path).empty(); }));
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
}

TEST_CASE("SIGTERM ends the collector though the folders of five agents hang") {
  FaultyFleet fleet({"good", "h1", "h2", "h3", "h4", "h5"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  hang(fleet);
  for (const auto& name : kHung) {
    CHECK(is_in_state(fleet, name, "unavailable"));
  }
  fleet.await_ticks("good", 1);
  fleet.end_and_say_when();
  CHECK(is_intact(fleet.path("good")));
}

TEST_CASE("the configuration was read again on the loop: a disk that hung under it held up every tick") {
  Host host;
  const test::FaultyDisk disk(host / "faults");
  host.set_variables(disk.environment());
  host.configure(kServedEverySecond);
  const ServedAgent good(host, "good");
  host.register_agents({good.entry()});
  const auto folder = host.home() + "/.instar/agents/config";
  std::filesystem::create_directories(folder);
  std::filesystem::copy(host.config_file(), folder + "/fleetledger.yaml");
  auto command = host.command({"run"});
  std::replace(command.begin(), command.end(), host.config_file(), folder + "/fleetledger.yaml");
  auto daemon = host.start_program(command);
  REQUIRE(test::await([&] { return read_ticks(good.path).size() >= 2; }));

  disk.begin("config", "hang");
  daemon.signal(SIGHUP);
  REQUIRE(test::await([&] { return disk.stalled("config") > 0; }));
  const auto before = read_ticks(good.path).size();
  CHECK(test::await([&] { return read_ticks(good.path).size() >= before + 3; }));
  CHECK(daemon.errors().find("event=reloaded") == std::string::npos);
  disk.end("config", "hang");
  CHECK(test::await([&] { return daemon.errors().find("event=reloaded") != std::string::npos; }));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}
