#include <catch2/catch.hpp>
#include <csignal>

#include "tests/e2e/host.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::Host;
using e2e::ServedAgent;

// The daemon runs and files change under it. What takes effect is told by an agent beside it that ticks every second:
// its ticks are the clock of these tests.

namespace {

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";
constexpr auto kDevelopment = R"({"developmentAgent":true})";

struct Running {
  Host host;
  ServedAgent agent{host, "agent"};
  ServedAgent clock{host, "clock"};
  test::Program daemon = start();

  test::Program start() {
    host.register_agents({agent.entry(), clock.entry()});
    host.configure(kEverySecond);
    return host.start({"run"});
  }
  ~Running() {
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
  }

  /// Lets so many ticks of the clock pass; the first of them may be under way already. The moment of the last.
  std::int64_t pass(std::size_t more) {
    const auto seen = ticks(clock.path) + more;
    REQUIRE(test::await([&] { return ticks(clock.path) >= seen; }));
    return *e2e::read_ticks(clock.path).rbegin();
  }
  [[nodiscard]] std::size_t ticks(const std::string& path) const { return e2e::read_ticks(path).size(); }
  void await_tick(const std::string& path) {
    const auto before = ticks(path);
    REQUIRE(test::await([&] { return ticks(path) > before; }));
  }
  /// From the tick after next on, no tick comes to this ledger.
  void check_silent(const std::string& path) {
    const auto last = pass(1);
    pass(2);
    const auto written = e2e::read_ticks(path);
    CHECK((written.empty() || *written.rbegin() <= last));
  }
};

}  // namespace

TEST_CASE("an agent that is a development agent no more is not sampled from the next tick on, and again once it is") {
  Running running;
  running.await_tick(running.agent.path);
  running.host.write_agent_config(running.agent.path, R"({"developmentAgent":false})");
  running.check_silent(running.agent.path);
  const auto reopened_after = *e2e::read_ticks(running.clock.path).rbegin();
  running.host.write_agent_config(running.agent.path, kDevelopment);
  running.await_tick(running.agent.path);
  // Its first row goes back to the look before the gate opened, not to the row before it closed, three looks earlier.
  // A row's time is that of its look's end, so the interval can be a little longer.
  const auto row = e2e::read_rows(running.agent.path).back();
  CHECK(row.interval_us.value() / 1000 <= row.ts - reopened_after + 1'000);
}

TEST_CASE("enabled: false ends sampling and enabled: true begins it, whatever developmentAgent says") {
  Running running;
  running.await_tick(running.agent.path);
  running.host.write_agent_config(running.agent.path,
                                  R"({"developmentAgent":true,"monitoring":{"resourceLedger":{"enabled":false}}})");
  running.check_silent(running.agent.path);
  running.host.write_agent_config(running.agent.path, R"({"monitoring":{"resourceLedger":{"enabled":true}}})");
  running.await_tick(running.agent.path);
}

TEST_CASE("an agent that enters the registry is sampled, one that leaves it is not") {
  Running running;
  running.await_tick(running.clock.path);
  const ServedAgent late(running.host, "late");
  running.host.register_agents({running.clock.entry(), late.entry()});
  running.await_tick(late.path);
  running.check_silent(running.agent.path);
  running.host.register_agents({running.clock.entry(), running.agent.entry()});
  running.await_tick(running.agent.path);
}

TEST_CASE("a config that cannot be read any more leaves the last good one in force") {
  Running running;
  running.await_tick(running.agent.path);
  running.host.write_agent_config(running.agent.path, R"({"developmentAgent":fal)");
  running.pass(2);
  running.await_tick(running.agent.path);
}

TEST_CASE("a new session is looked at at once, however long its agent's periods are") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  // Its first row would come after a day; a session that began brings a look, and an active period of a second.
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1d}\n");
  auto daemon = host.start({"run"});
  REQUIRE(daemon.complains("event=starting"));
  host.tmux({"new-session", "-d", "-s", "work", "/bin/sleep", "10000"});
  host.write_session(agent.path, "s1", "work");
  REQUIRE(test::await([&] { return e2e::read_ticks(agent.path).size() >= 2; }));
  bool seen = false;
  for (const auto& row : e2e::read_rows(agent.path)) {
    seen = seen || row.source == "session:s1";
  }
  CHECK(seen);

  // And when it has ended its agent is idle again: no more rows for a day. A second agent is the clock.
  const ServedAgent clock(host, "clock", R"({"developmentAgent":true})");
  host.configure(
      "sampling: {sample_interval: 1s, idle_sample_interval: 1d}\n"
      "discovery: {overrides: {clock: {idle_sample_interval: 1s}}}\n");
  host.register_agents({agent.entry(), clock.entry()});
  daemon.signal(SIGHUP);
  host.write_session(agent.path, "s1", "work", "completed");
  REQUIRE(test::await([&] { return e2e::read_ticks(clock.path).size() >= 2; }));
  const auto last = *e2e::read_ticks(clock.path).rbegin();
  REQUIRE(test::await([&] { return e2e::read_ticks(clock.path).size() >= 4; }));
  CHECK(*e2e::read_ticks(agent.path).rbegin() <= last);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}
