#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <unistd.h>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::Host;
using e2e::Json;
using e2e::ServedAgent;
namespace fs = std::filesystem;

namespace {

Json one_tick(Host& host) {
  const auto sampled = host.run({"sample", "--json", "--ticks", "1", "--interval", "100ms"});
  REQUIRE(sampled.code == 0);
  CHECK(e2e::complaints_in(sampled.errors) == "");
  return e2e::parse_json(sampled.output);
}

std::set<std::string> sources_of(const Json& agent) {
  std::set<std::string> names;
  for (const auto& source : agent["sources"].items) {
    names.insert(source["source"].text);
  }
  return names;
}

bool has_remark(const Json& agent, const std::string& part) {
  for (const auto& remark : agent["remarks"].items) {
    if (remark.text.find(part) != std::string::npos) {
      return true;
    }
  }
  return false;
}

Json checked(Host& host) {
  const auto check = host.run({"check", "--json"});
  CHECK(check.code == 0);
  return e2e::parse_json(check.output);
}

}  // namespace

TEST_CASE("check says of each agent what would be metered, how and why, in exactly the fields that are promised") {
  Host host;
  const auto fast = host.make_agent(
      "fast",
      R"({"developmentAgent":true,"monitoring":{"resourceLedger":{"sampleIntervalMs":7000,"idleSampleIntervalMs":9000,"retentionDays":3}}})");
  host.register_agents({{"fast", fast, 0, ""}, {"off", host.make_agent("off", "{}"), 0, ""}});
  const auto check = checked(host);
  CHECK(check["problems"].size() == 0);
  const auto& agent = check["agents"].with("name", "fast");
  const std::vector<std::string> promised{
      "id", "name", "path", "state", "reason", "sampleIntervalMs", "idleSampleIntervalMs", "retentionDays", "ledger"};
  const auto keys = agent.keys();
  REQUIRE(keys.size() >= promised.size());
  CHECK(std::vector(keys.begin(), keys.begin() + 9) == promised);
  CHECK(agent["path"].text == fast);
  CHECK(agent["state"].text == "idle");
  CHECK(agent["sampleIntervalMs"].number == 7000);
  CHECK(agent["idleSampleIntervalMs"].number == 9000);
  CHECK(agent["retentionDays"].number == 3);
  CHECK(agent["ledger"].text == e2e::ledger_file(fast));
  CHECK(check["agents"].with("name", "off")["state"].text == "off");
  CHECK(check["agents"].with("name", "off")["sampleIntervalMs"].number == 60'000);
}

TEST_CASE("agents of further homes and paths are found, excluded ones are left alone") {
  Host host;
  // Two more homes that a glob names, an agent that no registry lists, and one that is not wanted.
  for (const auto* home : {"more/one", "more/two"}) {
    const auto path = host / home + "/agent";
    fs::create_directories(path + "/.instar");
    host.write_agent_config(path, R"({"developmentAgent":true})");
    fs::create_directories(host / home + "/.instar");
    host.folder().write(
        std::string(home) + "/.instar/registry.json",
        R"({"version":1,"entries":[{"name":"twin","type":"standalone","path":)" + e2e::json_text(path) + "}]}");
  }
  const auto alone = host / "alone";
  fs::create_directories(alone + "/.instar");
  host.write_agent_config(alone, R"({"developmentAgent":true,"projectName":"loner"})");
  host.register_agents(
      {{"wanted", host.make_agent("wanted"), 0, ""}, {"unwanted", host.make_agent("unwanted"), 0, ""}});
  host.configure("discovery:\n  homes: [\"~\", \"" + host / "more/*" + "\"]\n  agents: [\"" + alone +
                 "\"]\n  exclude: [unwanted]\n");
  std::multiset<std::string> names;
  std::set<std::string> ids;
  for (const auto& agent : checked(host)["agents"].items) {
    names.insert(agent["name"].text);
    ids.insert(agent["id"].text);
  }
  CHECK(names == std::multiset<std::string>{"loner", "twin", "twin", "wanted"});
  CHECK(ids.size() == 4);
}

TEST_CASE("a server's pid that its registry's heartbeat does not vouch for is not sampled") {
  Host host;
  const ServedAgent stale(host, "stale");
  const ServedAgent gone(host, "gone");
  auto recycled = stale.entry();
  recycled.heartbeat = "2020-01-01T00:00:00.000Z";
  auto ended = gone.entry();
  {
    auto process = host.start_program({"/bin/true"});
    CHECK(process.exit_code() == 0);
    ended.pid = process.pid();
  }
  host.register_agents({recycled, ended});
  for (const auto& agent : one_tick(host)["agents"].items) {
    CHECK(agent["sources"].size() == 0);
  }
  const auto check = checked(host);
  CHECK(has_remark(check["agents"].with("name", "stale"), "started after the last heartbeat"));
  CHECK(has_remark(check["agents"].with("name", "gone"), "not running"));
}

TEST_CASE("a session counts all its panes, and a pane that two sessions name counts once") {
  Host host;
  const ServedAgent first(host, "first");
  const ServedAgent second(host, "second");
  host.register_agents({first.entry(), second.entry()});
  host.tmux({"new-session", "-d", "-s", "work", "/bin/sleep", "10000"});
  host.tmux({"split-window", "-d", "-t", "work", "/bin/sleep", "10000"});
  host.tmux({"new-session", "-d", "-t", "work", "-s", "grouped"});
  host.write_session(first.path, "s1", "work");
  const auto alone = one_tick(host)["agents"].with("name", "first");
  CHECK(sources_of(alone) == std::set<std::string>{"agent-server", "session:s1", "aggregate"});
  CHECK(alone["sources"].with("source", "session:s1")["processes"].number == 2);

  host.write_session(first.path, "s2", "grouped");
  host.write_session(second.path, "s3", "work");
  double panes = 0;
  for (const auto& agent : one_tick(host)["agents"].items) {
    panes += agent["sources"].with("source", "aggregate")["processes"].number - 1;
  }
  CHECK(panes == 2);
}

TEST_CASE("with scope process the roots alone are counted") {
  Host host;
  const auto path = host.make_agent("echo");
  const auto server = host.start_program({"/bin/sh", "-c", "/bin/sleep 10000 & wait"});
  const auto children = "/proc/" + std::to_string(server.pid()) + "/task/" + std::to_string(server.pid()) + "/children";
  REQUIRE(test::await([&] { return !test::text_of_file(children).empty(); }));
  host.register_agents({{"echo", path, server.pid(), ""}});
  CHECK(one_tick(host)["agents"][0]["sources"][0]["processes"].number == 2);
  host.configure("sampling: {scope: process}\n");
  CHECK(one_tick(host)["agents"][0]["sources"][0]["processes"].number == 1);
}

TEST_CASE("central ledgers are below our own folder, and a ledger in memory is nowhere") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure("storage: {backend: memory}\n");
  REQUIRE(host.run({"sample", "--record", "--ticks", "1", "--interval", "100ms"}).code == 0);
  CHECK_FALSE(fs::exists(agent.path + "/.instar/server-data"));
  CHECK(host.run({"summary", "echo"}).code == 1);

  host.configure("storage: {location: central}\n");
  REQUIRE(host.run({"sample", "--record", "--ticks", "2", "--interval", "1s"}).code == 0);
  CHECK_FALSE(fs::exists(agent.path + "/.instar/server-data"));
  const auto id = checked(host)["agents"][0]["id"].text;
  CHECK(checked(host)["agents"][0]["ledger"].text ==
        host.home() + "/.local/state/fleetledger/ledgers/" + id + "/resource-ledger.db");
  CHECK(e2e::parse_json(host.run({"summary", "echo", "--json"}).output)["sampleCount"].number == 4);
}

TEST_CASE("homes and agents of other users are left alone with a reason, even by root") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can give files away");
    return;
  }
  Host host;
  const std::string ours = host.home();
  const std::string theirs = host / "theirs";
  host.use(theirs, host.tmux_dir());
  const auto foreign = host.make_agent("foreign");
  const auto listed = host.make_agent("listed");
  host.register_agents({{"foreign", foreign, 0, ""}});
  host.use(ours, host.tmux_dir());
  const ServedAgent own(host, "own");
  host.register_agents({own.entry(), {"listed", listed, 0, ""}});
  host.configure("discovery: {homes: [\"~\", " + theirs + "], agents: [" + foreign + "]}\n");
  std::map<std::string, fs::file_time_type> before;
  for (const auto& entry : fs::recursive_directory_iterator(theirs)) {
    REQUIRE(::chown(entry.path().c_str(), 65534, 65534) == 0);
    before[entry.path()] = entry.last_write_time();
  }
  REQUIRE(::chown(theirs.c_str(), 65534, 65534) == 0);
  const auto check_untouched = [&] {
    std::map<std::string, fs::file_time_type> after;
    for (const auto& entry : fs::recursive_directory_iterator(theirs)) {
      after[entry.path()] = entry.last_write_time();
    }
    CHECK((after == before));
  };

  REQUIRE(host.run({"sample", "--record", "--ticks", "2", "--interval", "100ms"}).code == 0);
  check_untouched();
  const auto check = checked(host);
  REQUIRE(check["agents"].size() == 1);
  CHECK(check["agents"][0]["name"].text == "own");
  for (const auto& path : {theirs, foreign, listed}) {
    CHECK(std::any_of(check["remarks"].items.begin(), check["remarks"].items.end(), [&](const Json& remark) {
      return remark.text.find('"' + path + '"') != std::string::npos &&
             remark.text.find("belongs to another user") != std::string::npos;
    }));
  }

  // Nor is anything made there where it is taken for our own home.
  host.use(theirs, host.tmux_dir());
  const auto refused = host.run({"sample", "--record", "--ticks", "1", "--interval", "100ms"});
  CHECK(refused.code == 1);
  CHECK(refused.errors.find(theirs + " belongs to another user") != std::string::npos);
  check_untouched();
  host.use(ours, host.tmux_dir());
}
