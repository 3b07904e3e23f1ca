#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::Host;
using e2e::ServedAgent;
using test::PlainDatabase;

// The real program beside an agent's own sampler, whose rows this test writes.

namespace {

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

void sample_as_the_agent(const std::string& path) {
  std::filesystem::create_directories(path + "/.instar/server-data");
  PlainDatabase(e2e::ledger_file(path)).run(test::kUpstreamSchema + test::upstream_insert(now_ms(), "agent-server"));
}

e2e::Json ask(Host& host, const std::string& verb, const std::string& agent) {
  const auto said = host.run({verb, "--json"});
  REQUIRE(said.code == 0);
  return e2e::parse_json(said.output)["agents"].with("name", agent);
}

/// How many of our ticks a ledger holds.
std::int64_t ticks_in(const std::string& file) {
  if (!std::filesystem::exists(file)) {
    return 0;
  }
  PlainDatabase database(file);
  const auto columns =
      database.value("SELECT count(*) FROM pragma_table_info('resource_samples') WHERE name = 'fl_interval_us'");
  return columns == "0" ? 0
                        : std::stoll(database.value("SELECT count(DISTINCT ts) FROM resource_samples WHERE source ="
                                                    " 'aggregate' AND fl_interval_us IS NOT NULL"));
}

}  // namespace

TEST_CASE("an agent that begins to sample itself is metered on in a ledger of ours, with all that there was") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  const auto beside = e2e::ledger_file(agent.path);
  REQUIRE(test::await([&] { return ticks_in(beside) >= 2; }));
  sample_as_the_agent(agent.path);
  // A tick may have been under way; from the next one on there are none of ours.
  const auto id = ask(host, "agents", "echo")["id"].text;
  const auto central = host.home() + "/.local/state/fleetledger/ledgers/" + id + "/resource-ledger.db";
  REQUIRE(test::await([&] { return ask(host, "agents", "echo")["samplesAt"]["place"].text == central; }));
  const auto stayed = ticks_in(beside);
  REQUIRE(test::await([&] { return ticks_in(central) >= stayed + 2; }));
  CHECK(ticks_in(beside) == stayed);

  for (const auto* verb : {"agents", "check"}) {
    const auto said = ask(host, verb, "echo");
    CHECK(said["state"].text == "idle");
    CHECK(said["samplesAt"]["place"].text == central);
    CHECK(said["samplesAt"]["meteredTwice"].flag);
    CHECK_FALSE(said["samplesAt"]["centralSince"].is_null());
    CHECK_FALSE(said["samplesAt"]["otherSamplerTs"].is_null());
    CHECK(host.run({verb}).output.find("metered twice") != std::string::npos);
  }
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  CHECK(e2e::complaints_in(daemon.errors()).empty());

  const auto read = e2e::parse_json(host.run({"samples", "echo", "--json", "--source", "aggregate"}).output);
  CHECK(static_cast<std::int64_t>(read["samples"].size()) == ticks_in(central));
  CHECK(PlainDatabase(beside).value("SELECT count(*) FROM resource_samples WHERE fl_interval_us IS NULL") == "1");
}

TEST_CASE("told to keep samples beside the agent alone, the collector yields to the agent's own sampler") {
  Host host;
  const ServedAgent agent(host, "echo");
  const ServedAgent clock(host, "clock");
  host.register_agents({agent.entry(), clock.entry()});
  host.configure(std::string(kEverySecond) + "storage: {location: agent}\n");
  sample_as_the_agent(agent.path);
  auto daemon = host.start({"run"});
  REQUIRE(test::await([&] { return ticks_in(e2e::ledger_file(clock.path)) >= 2; }));
  for (const auto* verb : {"agents", "check"}) {
    const auto said = ask(host, verb, "echo");
    CHECK(said["state"].text == "yielding");
    CHECK(said["reason"].text.find("its own sampler writes its ledger") == 0);
    CHECK_FALSE(said["samplesAt"]["meteredTwice"].flag);
  }
  CHECK(ask(host, "agents", "clock")["state"].text == "idle");
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  CHECK(ticks_in(e2e::ledger_file(agent.path)) == 0);
  CHECK(PlainDatabase(e2e::ledger_file(agent.path)).value("SELECT count(*) FROM resource_samples") == "1");
}

// The README's recipe. The agent's own sampler is off because the agent obeys its config.
TEST_CASE("an agent whose own ledger is switched off is metered beside it when an override says so") {
  Host host;
  const ServedAgent agent(host, "echo",
                          R"({"developmentAgent":true,"monitoring":{"resourceLedger":{"enabled":false}}})");
  host.register_agents({agent.entry()});
  host.configure(kEverySecond);
  CHECK(ask(host, "check", "echo")["state"].text == "disabled");
  host.configure(std::string(kEverySecond) + "discovery: {overrides: {echo: {enabled: true}}}\n");
  CHECK(ask(host, "check", "echo")["state"].text == "idle");
  auto daemon = host.start({"run"});
  REQUIRE(test::await([&] { return ticks_in(e2e::ledger_file(agent.path)) >= 2; }));
  const auto said = ask(host, "agents", "echo");
  CHECK(said["reason"].text == "enabled by override");
  CHECK(said["samplesAt"]["place"].text == e2e::ledger_file(agent.path));
  CHECK_FALSE(said["samplesAt"]["meteredTwice"].flag);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}
