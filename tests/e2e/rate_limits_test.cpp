#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sqlite3.h>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"
#include "tests/support/columns.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
using namespace fleetledger::test;

namespace {

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Writes as an agent's server and the collector did before: by SQLite, with nothing of ours.
void write_ledger(const std::string& agent_path, const std::string& sql) {
  std::filesystem::create_directories(agent_path + "/.instar/server-data");
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(ledger_file(agent_path).c_str(), &database) == SQLITE_OK);
  const std::string schema =
      "PRAGMA journal_mode=WAL;"
      "CREATE TABLE resource_samples (ts INTEGER NOT NULL, source TEXT NOT NULL, pid INTEGER, cpu_percent REAL NOT NULL"
      " DEFAULT 0, rss_bytes INTEGER NOT NULL DEFAULT 0, heap_used_bytes INTEGER, fl_cpu_us INTEGER, fl_interval_us"
      " INTEGER, fl_processes INTEGER);"
      "CREATE TABLE rate_limit_events (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT NOT"
      " NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);"
      "CREATE TABLE fleetledger_recoveries (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT"
      " NOT NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);"
      "CREATE TABLE fleetledger_read_marks (source TEXT PRIMARY KEY, device INTEGER, inode INTEGER, read_to INTEGER,"
      " fingerprint INTEGER, memory TEXT);";
  const auto result = sqlite3_exec(database, (schema + sql).c_str(), nullptr, nullptr, nullptr);
  INFO(sqlite3_errmsg(database));
  CHECK(result == SQLITE_OK);
  sqlite3_close(database);
}

std::string row(std::int64_t ts, const std::string& source, int seconds, int cpu_seconds) {
  return "INSERT INTO resource_samples VALUES (" + std::to_string(ts) + ", '" + source + "', 1, 1, 1, NULL, " +
         std::to_string(cpu_seconds) + "000000, " + std::to_string(seconds) + "000000, 1);";
}

std::string event(const std::string& id, std::int64_t ts, const std::string& kind, const std::string& rest) {
  return "INSERT INTO rate_limit_events VALUES ('" + id + "', " + std::to_string(ts) + ", '" + kind + "', " + rest +
         ");";
}

/// Luna was throttled an hour ago; nova used the host, and has the same account; a third's ledger is no database.
struct Throttled : Host {
  std::int64_t then = now_ms() - 3'600'000;
  std::string luna = make_agent("luna", R"({"developmentAgent":true,"authToken":"luna-token-0123456789"})");
  std::string nova = make_agent("nova");
  std::string torn = make_agent("torn");

  Throttled() {
    register_agents({{"luna", luna}, {"nova", nova}, {"torn", torn}});
    write_ledger(
        luna, row(then, "agent-server", 300, 1) + row(then - 240'000, "session:build", 120, 60) +
                  row(then + 60'000, "session:build", 120, 20) +
                  event("session-sentinel:1:0", then, "throttle",
                        "'session-sentinel', 'ada', 'build', 'throttle-detected', 'too many\x1b[2J requests'") +
                  event("circuit-breaker:2:0", then - 7'200'000, "circuit-open",
                        "'circuit-breaker', 'default', NULL, '5 errors in a row', NULL") +
                  event("circuit-breaker:3:0", then + 1000, "circuit-recover",
                        "'circuit-breaker', 'default', NULL, NULL, NULL") +
                  event("session-sentinel:4:0", then - 90'000'000, "quota",
                        "'session-sentinel', 'default', NULL, NULL, NULL") +
                  "INSERT INTO fleetledger_recoveries VALUES ('session-sentinel:5:0', " + std::to_string(then + 2000) +
                  ", 'throttle-recovered', 'session-sentinel', 'default', 'build', NULL, 'after 2 s');");
    write_ledger(nova,
                 row(then - 10'000, "session:hog", 60, 59) + event("session-sentinel:6:0", then - 30'000, "quota",
                                                                   "'session-sentinel', 'ada', 'hog', NULL, NULL"));
    std::filesystem::create_directories(torn + "/.instar/server-data");
    std::ofstream(ledger_file(torn)) << "no database, but long enough to be looked at";
  }
};

}  // namespace

TEST_CASE("rate-limits tells how often an agent was throttled, and of recoveries without counting them") {
  Throttled host;
  const auto answer = host.run({"rate-limits", "luna", "--json"});
  REQUIRE(answer.code == 0);
  const auto json = parse_json(answer.output);
  CHECK(json["windowHours"].number == 24);
  CHECK(json["summary"]["circuitOpenCount"].number == 1);
  CHECK(json["summary"]["circuitRecoverCount"].number == 1);
  CHECK(json["summary"]["sentinelCount"].number == 1);
  CHECK(json["summary"]["totalEvents"].number == 3);
  CHECK(json["summary"]["tripsPerHour"].number == 0.04);
  REQUIRE(json["events"].size() == 3);
  CHECK(json["events"][0]["id"].text == "circuit-breaker:3:0");
  REQUIRE(json["recoveries"].size() == 1);
  CHECK(json["recoveries"][0]["kind"].text == "throttle-recovered");
  CHECK(parse_json(host.run({"rate-limits", "luna", "--since", "2d", "--json"}).output)["summary"]["totalEvents"]
            .number == 4);

  const auto text = host.run({"rate-limits", "luna"});
  CHECK(text.code == 0);
  CHECK(text.output.find("3 events; the breaker opened 0.04 times an hour") != std::string::npos);
  CHECK(text.output.find("how sessions came out of it (not counted)") != std::string::npos);
  CHECK(text.output.find("after 2 s") != std::string::npos);
  CHECK(text.output.find("  too many?[2J requests") != std::string::npos);  // what the kind says is not said again
  CHECK(text.output.find('\x1b') == std::string::npos);
  const auto none = host.run({"rate-limits", "luna", "--since", "1ms"});
  CHECK(none.code == 0);
  CHECK(none.output.find("no rate limits") != std::string::npos);
}

TEST_CASE("--context says who used the host before the newest limit, whoever's ledgers cannot be read") {
  Throttled host;
  const auto answer = host.run({"rate-limits", "luna", "--context", "--json"});
  INFO(answer.errors);
  REQUIRE(answer.code == 0);
  const auto json = parse_json(answer.output);
  CHECK(json["event"]["id"].text == "session-sentinel:1:0");  // a breaker that closed is no limit
  CHECK(json["event"]["limit"].text == "server");
  CHECK(json["scope"].text == "host");
  // Of luna's rows: 2 minutes whole less the first, half of the last, all of the server's.
  CHECK(json["sources"].size() == 3);
  CHECK(json["sources"][0]["source"].text == "session:hog");
  CHECK(json["sources"][1]["agentName"].text == "luna");
  CHECK(json["sources"][1]["cpuSeconds"].number == 30 + 10);
  CHECK(json["sources"][1]["measuredMs"].number == 120'000);
  CHECK(json["agents"][0]["agentName"].text == "nova");
  CHECK(json["allAgents"]["cpuSeconds"].number == 59 + 41);
  REQUIRE(json["otherEvents"].size() == 1);
  CHECK(json["otherEvents"][0]["sameAccount"].flag);
  REQUIRE(json["sharedAccounts"].size() == 1);
  CHECK(json["sharedAccounts"][0]["accountKey"].text == "ada");
  REQUIRE(json["notRead"].size() == 1);
  CHECK(json["notRead"][0]["agentName"].text == "torn");
  CHECK(json["notRead"][0]["reason"].text.find("it is not a database") != std::string::npos);

  const auto text = host.run({"rate-limits", "luna", "--context"});
  CHECK(text.code == 0);
  for (const auto* told : {"3 events", "a server that throttles", "together 100.0 CPU s; 2 sessions of 2 agents ran",
                           "the same account, ada: luna, nova", "not read: torn: "}) {
    CAPTURE(told);
    CHECK(text.output.find(told) != std::string::npos);
  }
  for (const auto& line : lines_of(text.output)) {
    if (!line.starts_with("not read: ")) {
      CHECK(test::columns_of(line) <= 80);
    }
  }

  const auto quota = host.run({"rate-limits", "luna", "--event", "session-sentinel:4:0"});
  CHECK(quota.code == 0);
  CHECK(quota.output.find("the account's quota") != std::string::npos);
  CHECK(quota.output.find("no agent has rows of that time") != std::string::npos);
  const auto unknown = host.run({"rate-limits", "luna", "--event", "session-sentinel:6:0", "--json"});
  CHECK(unknown.code == 1);
  CHECK(unknown.output.empty());
  CHECK(unknown.errors.find("no rate-limit event session-sentinel:6:0") != std::string::npos);
  CHECK(host.run({"rate-limits", "luna", "--since", "1ms", "--context", "--json"}).code == 1);
}

TEST_CASE("a running collector answers what the command prints; an agent's token is told of no other agent") {
  Throttled host;
  host.configure("http: {listen: [\"127.0.0.1:0\"]}\nsampling: {sample_interval: 1d, idle_sample_interval: 1d}\n");
  Served served(host);
  const std::string target = "/agents/luna/rate-limits/session-sentinel%3A1%3A0/context";
  // Before the agents' files have been read there is no such agent.
  REQUIRE(test::await([&] { return served.get(target, served.operators_token()).status == 200; }));
  const auto operators = served.get(target, served.operators_token());
  REQUIRE(operators.status == 200);
  const auto own = served.get(target, "luna-token-0123456789");
  REQUIRE(own.status == 200);
  CHECK(own.body.find("nova") == std::string::npos);
  CHECK(own.body.find("torn") == std::string::npos);
  CHECK(own.body.find("hog") == std::string::npos);
  CHECK(parse_json(own.body)["allAgents"]["cpuSeconds"].number == 59 + 41);
  CHECK(served.get("/agents/nova/rate-limits/session-sentinel:6:0/context", "luna-token-0123456789").status == 403);
  CHECK(served.get("/agents/luna/rate-limits/session-sentinel:1:1/context", "luna-token-0123456789").status == 404);

  const auto printed = host.run({"rate-limits", "luna", "--context", "--json"});
  auto expected = parse_json(operators.body);
  const auto found = parse_json(printed.output);
  CHECK(found["sources"].size() == expected["sources"].size());
  CHECK(found["allAgents"]["cpuSeconds"].number == expected["allAgents"]["cpuSeconds"].number);
  CHECK(found.keys() == expected.keys());
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
}

TEST_CASE("what an agent's own server wrote is told without a collector, where our samples lie elsewhere") {
  Throttled host;
  host.configure("storage: {location: central}\n");
  const auto json = parse_json(host.run({"rate-limits", "luna", "--json"}).output);
  CHECK(json["summary"]["circuitOpenCount"].number == 1);
  CHECK(json["summary"]["totalEvents"].number == 3);
  CHECK(json["events"].size() == 3);
  const auto context = parse_json(host.run({"rate-limits", "luna", "--context", "--json"}).output);
  CHECK(context["event"]["id"].text == "session-sentinel:1:0");
  CHECK(context["sources"].size() == 0);
  REQUIRE(context["otherEvents"].size() == 1);
  CHECK(context["otherEvents"][0]["agentName"].text == "nova");
}
