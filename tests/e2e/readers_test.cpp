#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <map>
#include <regex>
#include <set>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/support/columns.h"

using namespace fleetledger;
using e2e::Host;
using e2e::ServedAgent;
using Names = std::vector<std::string>;

namespace {

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";

/// The promised names come first and in their order; what is ours may follow.
void check_begins_with(const Names& keys, const Names& promised) {
  REQUIRE(keys.size() >= promised.size());
  CHECK(Names(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(promised.size())) == promised);
}

double hundredths(double value) { return std::floor(value * 100 + 0.5) / 100; }

}  // namespace

TEST_CASE("summary says of each source what its rows in the ledger say") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  REQUIRE(host.run({"sample", "--record", "--ticks", "4", "--interval", "1s"}).code == 0);
  const auto rows = e2e::read_rows(agent.path);
  REQUIRE(rows.size() == 8);

  const auto answer = host.run({"summary", "echo", "--json"});
  REQUIRE(answer.code == 0);
  const auto summary = e2e::parse_json(answer.output);
  check_begins_with(summary.keys(), {"windowHours", "sinceMs", "sampleCount", "sources"});
  CHECK(summary["windowHours"].number == 1);
  CHECK(summary["sampleCount"].number == 8);
  REQUIRE(summary["sources"].size() == 2);
  for (const auto& source : summary["sources"].items) {
    check_begins_with(source.keys(),
                      {"source", "currentCpuPercent", "currentRssBytes", "currentHeapUsedBytes", "avgCpuPercent",
                       "peakCpuPercent", "avgRssBytes", "peakRssBytes", "sampleCount", "newestTs"});
    double cpu = 0;
    double cpu_peak = 0;
    double rss = 0;
    double rss_peak = 0;
    const e2e::Row* newest = nullptr;
    for (const auto& row : rows) {
      if (row.source == source["source"].text) {
        cpu += row.cpu_percent / 4;
        cpu_peak = std::max(cpu_peak, row.cpu_percent);
        rss += static_cast<double>(row.rss_bytes) / 4;
        rss_peak = std::max(rss_peak, static_cast<double>(row.rss_bytes));
        newest = &row;
      }
    }
    REQUIRE(newest != nullptr);
    CHECK(source["sampleCount"].number == 4);
    CHECK(source["newestTs"].number == static_cast<double>(newest->ts));
    CHECK(source["currentCpuPercent"].number == newest->cpu_percent);
    CHECK(source["currentRssBytes"].number == static_cast<double>(newest->rss_bytes));
    CHECK(source["currentHeapUsedBytes"].is_null());
    CHECK(source["avgCpuPercent"].number == Approx(hundredths(cpu)).margin(0.0101));
    CHECK(source["peakCpuPercent"].number == hundredths(cpu_peak));
    CHECK(source["avgRssBytes"].number == std::floor(rss + 0.5));
    CHECK(source["peakRssBytes"].number == rss_peak);
  }
}

TEST_CASE("samples gives the rows newest first, of one source and no more than asked for") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  REQUIRE(host.run({"sample", "--record", "--ticks", "4", "--interval", "200ms"}).code == 0);
  const auto rows = e2e::read_rows(agent.path);

  const auto all = e2e::parse_json(host.run({"samples", "echo", "--json"}).output);
  check_begins_with(all.keys(), {"windowHours", "sinceMs", "limit", "samples"});
  CHECK(all["limit"].number == 200);
  CHECK(all["samples"].size() == rows.size());

  const auto some =
      e2e::parse_json(host.run({"samples", agent.path, "--source", "agent-server", "--limit", "3", "--json"}).output);
  CHECK(some["limit"].number == 3);
  REQUIRE(some["samples"].size() == 3);
  const std::set<std::int64_t> ticks = e2e::read_ticks(agent.path);
  auto expected = ticks.rbegin();
  for (const auto& sample : some["samples"].items) {
    check_begins_with(sample.keys(), {"ts", "source", "pid", "cpuPercent", "rssBytes", "heapUsedBytes"});
    CHECK(sample["ts"].number == static_cast<double>(*expected++));
    CHECK(sample["source"].text == "agent-server");
    CHECK(sample["pid"].number == agent.server.pid());
  }
  CHECK(e2e::parse_json(host.run({"samples", "echo", "--since", "1ms", "--json"}).output)["samples"].size() == 0);
}

TEST_CASE("the ledgers are read while the collector runs, and after it was killed") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(kEverySecond);
  auto collector = host.start({"run"});
  REQUIRE(test::await([&] { return e2e::read_ticks(agent.path).size() >= 2; }));
  const auto running = host.run({"summary", "echo", "--json"});
  CHECK(running.code == 0);
  CHECK(e2e::parse_json(running.output)["sampleCount"].number >= 4);
  const auto listed = e2e::parse_json(host.run({"agents", "--json"}).output);
  CHECK(listed["agents"][0]["newestSampleTs"].number >= static_cast<double>(*e2e::read_ticks(agent.path).begin()));

  collector.signal(SIGKILL);
  CHECK(collector.exit_code() == -SIGKILL);
  const auto killed = e2e::parse_json(host.run({"summary", "echo", "--json"}).output);
  CHECK(killed["sampleCount"].number == static_cast<double>(e2e::read_rows(agent.path).size()));
}

TEST_CASE("a ledger that is not there yet is empty, and asking for it does not make it") {
  Host host;
  host.register_agents({{"echo", host.make_agent("echo"), 0, ""}});
  const auto answer = host.run({"summary", "echo", "--json"});
  CHECK(answer.code == 0);
  CHECK(e2e::parse_json(answer.output)["sources"].size() == 0);
  CHECK(test::text_of_file(e2e::ledger_file(host.home() + "/.instar/agents/echo")).empty());
}

TEST_CASE("an agent that is not there is an error, and a name of two agents names their ids") {
  Host host;
  const auto first = host.make_agent("a");
  const auto second = host.make_agent("b");
  host.register_agents({{"twin", first, 0, ""}, {"twin", second, 0, ""}});
  const auto unknown = host.run({"summary", "nobody", "--json"});
  CHECK(unknown.code == 1);
  CHECK(unknown.output.empty());
  CHECK(unknown.errors.find("nobody") != std::string::npos);

  const auto listed = e2e::parse_json(host.run({"agents", "--json"}).output);
  REQUIRE(listed["agents"].size() == 2);
  const auto ambiguous = host.run({"samples", "twin"});
  CHECK(ambiguous.code == 1);
  std::set<std::string> ids;
  for (const auto& agent : listed["agents"].items) {
    ids.insert(agent["id"].text);
    CHECK(ambiguous.errors.find(agent["id"].text) != std::string::npos);
    CHECK(host.run({"samples", agent["id"].text}).code == 0);
    CHECK(host.run({"samples", agent["path"].text}).code == 0);
  }
  CHECK(ids.size() == 2);
}

TEST_CASE("wrong use ends with exit code 2 and says what is wrong") {
  Host host;
  const std::vector<Names> wrong{
      {"frobnicate"},
      {"run", "--json"},
      {"check", "--record"},
      {"sample", "--interval", "50ms"},
      {"sample", "--interval", "soon"},
      {"sample", "--ticks", "0"},
      {"sample", "--ticks", "many"},
      {"summary"},
      {"summary", "echo", "--since", "-1h"},
      {"samples", "echo", "--limit", "0"},
      {"samples", "echo", "--limit", "2001"},
      {"samples", "echo", "--colour"},
  };
  for (const auto& arguments : wrong) {
    const auto answer = host.run(arguments);
    INFO(arguments.front() << ' ' << arguments.back());
    CHECK(answer.code == 2);
    CHECK(answer.output.empty());
    CHECK_FALSE(answer.errors.empty());
  }
}

TEST_CASE("tables for people are readable at 80 columns") {
  Host host;
  const ServedAgent agent(host, "an-agent-with-a-name-as-long-as-nobody-would-choose-it-but-for-a-test");
  host.register_agents({agent.entry()});
  const auto sampled = host.run({"sample", "--record", "--ticks", "2", "--interval", "100ms"});
  REQUIRE(sampled.code == 0);
  const auto rows = test::lines_of(sampled.output + host.run({"summary", agent.path}).output +
                                   host.run({"samples", agent.path}).output);
  CHECK(rows.size() > 10);
  for (const auto& row : rows) {
    INFO(row);
    CHECK(test::columns_of(row) <= 80);
  }
  CHECK(sampled.output.find("RSS MiB") != std::string::npos);
  CHECK(sampled.output.find('\x1b') == std::string::npos);
}

TEST_CASE("the README lists the verbs and flags that --help knows, and no others") {
  Host host;
  std::map<std::string, std::string> in_readme;
  for (const auto& line : test::lines_of(test::text_of_file(README))) {
    static const std::regex row(R"(\| `fleetledger ([a-z-]+)([^`]*)` \|.*)");
    std::smatch found;
    if (std::regex_match(line, found, row)) {
      in_readme[found[1]] = found[2];
    }
  }
  const auto help = host.start_program({FLEETLEDGER_PROGRAM, "--help"});
  std::set<std::string> in_help;
  REQUIRE(test::await([&] { return help.output().find("Exit codes") != std::string::npos; }));
  bool listing = false;
  for (const auto& line : test::lines_of(help.output())) {
    static const std::regex verb(R"(  ([a-z-]+) +\S.*)");
    std::smatch found;
    listing = listing || line == "Subcommands:";
    if (listing && std::regex_match(line, found, verb)) {
      in_help.insert(found[1]);
    }
  }
  std::set<std::string> verbs;
  for (const auto& [verb, arguments] : in_readme) {
    verbs.insert(verb);
    const auto own = host.run({verb, "--help"});
    CHECK(own.code == 0);
    static const std::regex flag("--[a-z]+");
    for (std::sregex_iterator at(arguments.begin(), arguments.end(), flag), end; at != end; ++at) {
      INFO(verb << ' ' << at->str());
      CHECK(own.output.find(at->str() + ' ') != std::string::npos);
    }
  }
  CHECK(verbs == in_help);
  CHECK(verbs.size() >= 7);
}
