#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"

using namespace fleetledger;
using e2e::Host;
using e2e::Served;
using test::PlainDatabase;

// The real program, on logs as an agent's sentinels write them.

namespace {

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// An agent with a log of sentinels.
struct LoggedAgent {
  std::string path;
  std::string log = path + "/logs/sentinel-events.jsonl";
  int written = 0;

  void say(const std::string& kind, const std::string& sentinel = "rate-limit") {
    std::filesystem::create_directories(path + "/logs");
    std::ofstream(log, std::ios::app) << R"({"timestamp":)" << now_ms() << R"(,"sentinel":")" << sentinel
                                      << R"(","kind":")" << kind << R"(","sessionName":"build","detail":")" << written++
                                      << "\"}\n";
  }
  void say_anything(const std::string& text) const { std::ofstream(log, std::ios::app) << text; }
};

std::string asked(const std::string& file, const std::string& question) {
  return std::filesystem::exists(file) ? PlainDatabase(file).value(question) : "no ledger";
}

std::string count(const std::string& file) {
  return asked(file, "SELECT count(*) FROM sqlite_master WHERE name = 'rate_limit_events'") == "1"
             ? asked(file, "SELECT count(*) FROM rate_limit_events")
             : "none";
}

}  // namespace

TEST_CASE("what the rate-limit sentinel of an agent logs is in its ledger soon, whether it is metered or not") {
  Host host;
  LoggedAgent metered{host.make_agent("echo")};
  LoggedAgent off{host.make_agent("archivist", "{}")};
  LoggedAgent disabled{host.make_agent("mute", R"({"monitoring":{"resourceLedger":{"enabled":false}}})")};
  host.register_agents({{"echo", metered.path}, {"archivist", off.path}, {"mute", disabled.path}});
  for (auto* agent : {&metered, &off, &disabled}) {
    agent->say("throttle-detected");
    agent->say("throttle-recovered");
  }
  host.configure("http: {listen: [\"127.0.0.1:0\"]}\n");
  Served served(host);
  for (const auto& agent : {metered, off}) {
    const auto ledger = e2e::ledger_file(agent.path);
    REQUIRE(test::await([&] { return count(ledger) == "1"; }));
    CHECK(asked(ledger,
                "SELECT kind || '|' || source || '|' || account_key || '|' || session_name || '|' || reason ||"
                " '|' || detail FROM rate_limit_events") ==
          "throttle|session-sentinel|default|build|throttle-detected|0");
    CHECK(asked(ledger, "SELECT id LIKE 'session-sentinel:' || ts || ':_%' FROM rate_limit_events") == "1");
  }
  // New lines are read when they are written: the next tick is minutes away.
  metered.say("throttle-escalated");
  metered.say_anything("not JSON\n");
  metered.say("memory-low", "memory");
  off.say("throttle-detected");
  CHECK(test::await([&] { return count(e2e::ledger_file(metered.path)) == "2"; }));
  CHECK(test::await([&] { return count(e2e::ledger_file(off.path)) == "2"; }));
  CHECK_FALSE(std::filesystem::exists(e2e::ledger_file(disabled.path)));

  const auto id =
      e2e::parse_json(served.get("/agents", served.operators_token()).body)["agents"].with("name", "echo")["id"].text;
  const auto answer =
      e2e::parse_json(served.get("/agents/" + id + "/resources/rate-limits", served.operators_token()).body);
  CHECK(answer["summary"]["sentinelCount"].number == 2);
  CHECK(answer["summary"]["totalEvents"].number == 2);
  CHECK(answer["byKind"][0]["kind"].text == "throttle");
  CHECK(answer["events"][0]["reason"].text == "throttle-escalated");
  CHECK(answer["events"][0]["sessionName"].text == "build");
  for (const std::string& series :
       {"fleetledger_agent_rate_limit_events_total{agent=\"" + id + "\",kind=\"throttle\"} 2",
        "fleetledger_agent_event_lines_skipped_total{agent=\"" + id + "\",reason=\"not_json\"} 1"}) {
    INFO(series);
    CHECK(test::await(
        [&] { return served.get("/metrics", served.operators_token()).body.find(series) != std::string::npos; }));
  }
  // A log that is written anew is read again, and nothing of it recorded or counted again.
  std::ostringstream old;
  old << std::ifstream(metered.log).rdbuf();
  std::filesystem::resize_file(metered.log, 0);
  metered.say("throttle-detected");
  metered.say_anything(old.str());
  metered.say("throttle-detected");
  CHECK(test::await([&] { return count(e2e::ledger_file(metered.path)) == "4"; }));
  CHECK(test::await([&] {
    return served.get("/metrics", served.operators_token())
               .body.find("fleetledger_agent_rate_limit_events_total{agent=\"" + id + "\",kind=\"throttle\"} 4") !=
           std::string::npos;
  }));
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);

  // What came while nobody looked is there after the next start, once; so is what was rotated away meanwhile.
  metered.say("throttle-detected");
  std::filesystem::rename(metered.log, metered.log + ".1");
  metered.say("throttle-detected");
  // With it open this test's questions neither make nor remove the files beside the ledger while it is read at rest.
  PlainDatabase kept_open(e2e::ledger_file(metered.path));
  CHECK(kept_open.value("SELECT count(*) FROM rate_limit_events") == "4");
  auto again = host.start({"run"});
  CHECK(test::await([&] { return count(e2e::ledger_file(metered.path)) == "6"; }));
  again.signal(SIGTERM);
  CHECK(again.exit_code() == 0);
  CHECK(e2e::complaints_in(again.errors()).empty());
}

TEST_CASE("a log that is none is told of and does not keep an agent from being metered") {
  Host host;
  const LoggedAgent agent{host.make_agent("echo")};
  host.register_agents({{"echo", agent.path}});
  std::filesystem::create_directories(agent.path + "/logs");
  REQUIRE(::mkfifo(agent.log.c_str(), 0600) == 0);
  host.configure("sampling: {idle_sample_interval: 1s}\n");
  auto daemon = host.start({"run"});
  CHECK(daemon.complains("event=events_unread"));
  CHECK(daemon.complains("it is a FIFO"));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("where samples are kept centrally, the events of the agent's own ledger are copied, and its log is read") {
  Host host;
  LoggedAgent agent{host.make_agent("echo")};
  host.register_agents({{"echo", agent.path}});
  host.configure("storage: {location: central}\nsampling: {idle_sample_interval: 1s}\n");
  std::filesystem::create_directories(agent.path + "/.instar/server-data");
  PlainDatabase(e2e::ledger_file(agent.path))
      .run(std::string(test::kUpstreamSchema) +
           "INSERT INTO rate_limit_events (id, ts, kind, source) VALUES ('circuit-breaker:1:0', " +
           std::to_string(now_ms()) + ", 'circuit-open', 'circuit-breaker')");
  agent.say("throttle-detected");
  auto daemon = host.start({"run"});
  std::string central;
  REQUIRE(test::await([&] {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             host.home(), std::filesystem::directory_options::skip_permission_denied)) {
      if (entry.path().filename() == "resource-ledger.db" &&
          entry.path().string().find("/ledgers/") != std::string::npos)
        central = entry.path();
    }
    return !central.empty();
  }));
  CHECK(test::await([&] { return count(central) == "2"; }));
  CHECK(asked(e2e::ledger_file(agent.path), "SELECT count(*) FROM rate_limit_events") == "1");
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}
