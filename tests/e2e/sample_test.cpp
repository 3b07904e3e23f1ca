#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <sys/stat.h>

#include "tests/e2e/generated_fleet.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::GeneratedFleet;
using e2e::Host;
using e2e::Json;
using Names = std::vector<std::string>;

namespace {

/// One real fleet: two agents whose gate is open, with three sessions each, and one that is off.
const Names kThreeAgents{"--agents",          "3",
                         "--sessions",        "2",
                         "--loads",           "flat:20,deep:20,steady:5,idle",
                         "--names",           "echo,scout,archivist",
                         "--not-development", "1"};

std::vector<Json> ticks_of(const test::Finished& finished) {
  std::vector<Json> ticks;
  for (const auto& line : test::lines_of(finished.output)) {
    ticks.push_back(e2e::parse_json(line));
  }
  return ticks;
}

Names sources_of(const Json& agent) {
  Names names;
  for (const auto& source : agent["sources"].items) {
    names.push_back(source["source"].text);
  }
  return names;
}

std::int64_t micros(const Json& seconds) { return std::llround(seconds.number * 1e6); }

/// Everything below a folder.
std::set<std::string> files_below(const std::string& folder) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files.insert(entry.path());
  }
  return files;
}

unsigned mode_of(const std::string& path) {
  struct stat about {};
  REQUIRE(::lstat(path.c_str(), &about) == 0);
  return about.st_mode & 07777U;
}

}  // namespace

TEST_CASE("sample prints one JSON line a tick with exactly the fields that are promised") {
  Host host;
  const GeneratedFleet fleet(host, kThreeAgents);
  const auto sampled = host.run({"sample", "--json", "--ticks", "3", "--interval", "300ms"});
  CHECK(sampled.code == 0);
  CHECK(e2e::complaints_in(sampled.errors) == "");
  const auto ticks = ticks_of(sampled);
  REQUIRE(ticks.size() == 3);

  double last_ts = 0;
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const auto& tick = ticks[i];
    CHECK(tick.keys() == Names{"tick", "ts", "processes", "agents", "self"});
    CHECK(tick["tick"].number == static_cast<double>(i + 1));
    CHECK(tick["ts"].number > last_ts);
    last_ts = tick["ts"].number;
    CHECK(tick["processes"].number >= 10);
    CHECK(tick["self"].keys() == Names{"cpuSeconds", "childCpuSeconds", "rssBytes"});
    CHECK(tick["self"]["cpuSeconds"].number > 0);
    CHECK(tick["self"]["childCpuSeconds"].number > 0);
    CHECK(tick["self"]["rssBytes"].number > 1e6);

    REQUIRE(tick["agents"].size() == 2);
    for (const auto& agent : tick["agents"].items) {
      CHECK(agent.keys() == Names{"id", "name", "state", "sources"});
      CHECK(agent["state"].text == "sampling");
      CHECK(agent["id"].text.rfind(agent["name"].text + '-', 0) == 0);
      for (const auto& source : agent["sources"].items) {
        CHECK(source.keys() == Names{"source", "pid", "cpuPercent", "cpuSeconds", "rssBytes", "processes"});
      }
    }
    CHECK(sources_of(tick["agents"].with("name", "echo")) ==
          Names{"agent-server", "session:s1-flat", "session:s2-deep", "aggregate"});
    CHECK(sources_of(tick["agents"].with("name", "scout")) ==
          Names{"agent-server", "session:s1-steady", "session:s2-idle", "aggregate"});
  }
}

TEST_CASE("the pids of sources are those of servers and panes, and what an agent's sources say adds up exactly") {
  Host host;
  const GeneratedFleet fleet(host, kThreeAgents);
  const auto ticks = ticks_of(host.run({"sample", "--json", "--ticks", "3", "--interval", "500ms"}));
  REQUIRE(ticks.size() == 3);
  for (const auto& tick : ticks) {
    for (const auto& agent : tick["agents"].items) {
      const auto& made = fleet.agent(agent["name"].text);
      double percent = 0;
      double rss = 0;
      double processes = 0;
      std::int64_t cpu = 0;
      for (const auto& source : agent["sources"].items) {
        const auto& name = source["source"].text;
        if (name == "aggregate") {
          CHECK(source["pid"].number == 0);
          CHECK(source["cpuPercent"].number == percent);
          CHECK(source["rssBytes"].number == rss);
          CHECK(source["processes"].number == processes);
          CHECK(micros(source["cpuSeconds"]) == cpu);
        } else if (name == "agent-server") {
          CHECK(source["pid"].number == made["serverPid"].number);
        } else {
          CHECK(source["pid"].number == made["sessions"].with("id", name.substr(8))["panePid"].number);
        }
        percent += source["cpuPercent"].number;
        rss += source["rssBytes"].number;
        processes += source["processes"].number;
        cpu += micros(source["cpuSeconds"]);
      }
    }
  }
}

TEST_CASE("sample without --record writes nothing anywhere") {
  Host host;
  const GeneratedFleet fleet(host, kThreeAgents);
  const auto before = files_below(host.home());
  REQUIRE(host.run({"sample", "--json", "--ticks", "2", "--interval", "100ms"}).code == 0);
  CHECK(files_below(host.home()) == before);
  CHECK(files_below(host / "nobody").empty());
}

TEST_CASE("sample with --record writes the rows that it prints, in files that only their owner can read") {
  Host host;
  const GeneratedFleet fleet(host, kThreeAgents);
  const auto ticks = ticks_of(host.run({"sample", "--json", "--record", "--ticks", "3", "--interval", "1s"}));
  REQUIRE(ticks.size() == 3);
  for (const auto* name : {"echo", "scout"}) {
    const auto path = fleet.agent(name)["path"].text;
    const auto rows = e2e::read_rows(path);
    std::size_t row = 0;
    for (const auto& tick : ticks) {
      for (const auto& source : tick["agents"].with("name", name)["sources"].items) {
        REQUIRE(row < rows.size());
        CHECK(rows[row].ts == std::llround(tick["ts"].number));
        CHECK(rows[row].source == source["source"].text);
        CHECK(rows[row].pid == std::llround(source["pid"].number));
        CHECK(rows[row].cpu_percent == source["cpuPercent"].number);
        CHECK(rows[row].rss_bytes == std::llround(source["rssBytes"].number));
        CHECK(rows[row].cpu_us == micros(source["cpuSeconds"]));
        CHECK(rows[row].processes == std::llround(source["processes"].number));
        CHECK(rows[row].interval_us.value_or(0) > 0);
        ++row;
      }
    }
    CHECK(rows.size() == row);
    CHECK(e2e::is_intact(path));
    CHECK(mode_of(e2e::ledger_file(path)) == 0600);
    CHECK(mode_of(path + "/.instar/server-data") == 0700);
  }
  CHECK_FALSE(std::filesystem::exists(e2e::ledger_file(fleet.agent("archivist")["path"].text)));
  CHECK(mode_of(host.home() + "/.local/state/fleetledger") == 0700);
  CHECK(files_below(host / "nobody").empty());
}

TEST_CASE("sample ends after its ticks when no agent's gate is open") {
  Host host;
  host.register_agents({{"off", host.make_agent("off", "{}"), 0, ""}});
  const auto sampled = host.run({"sample", "--json", "--ticks", "2", "--interval", "100ms"});
  CHECK(sampled.code == 0);
  const auto ticks = ticks_of(sampled);
  REQUIRE(ticks.size() == 2);
  CHECK(ticks[1]["agents"].size() == 0);
}

TEST_CASE("20 agents with 10 sessions each cost one ps a tick and at most one tmux") {
  Host host;
  const GeneratedFleet fleet(host, {"--agents", "20", "--sessions", "10", "--no-tmux"});
  const auto ps = host.folder().script("counted-ps", "echo >>'" + host / "ps-calls" + "'\nexec /usr/bin/ps \"$@\"");
  const auto tmux = host.folder().script(
      "counted-tmux", "echo >>'" + host / "tmux-calls" + "'\nexec '" + fleet.root() + "/list-panes' \"$@\"");
  host.configure("sampling: {ps: " + ps + ", tmux: " + tmux + "}\n");

  const auto ticks = ticks_of(host.run({"sample", "--json", "--record", "--ticks", "5", "--interval", "500ms"}));
  REQUIRE(ticks.size() == 5);
  const auto calls = [&](const char* file) { return test::lines_of(test::text_of_file(host / file)).size(); };
  CHECK(calls("ps-calls") == 5 + 1);
  CHECK(calls("tmux-calls") >= 1);
  CHECK(calls("tmux-calls") <= calls("ps-calls"));
  // They all were metered: a server, ten sessions and the sum.
  REQUIRE(ticks.back()["agents"].size() == 20);
  for (const auto& agent : ticks.back()["agents"].items) {
    CHECK(agent["sources"].size() == 12);
  }
}
