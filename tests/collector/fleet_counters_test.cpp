#include "collector/fleet_counters.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

/// A fleet of agents, and looks at it that find what the test says.
struct Host {
  explicit Host(std::size_t most_sessions = 0) : counters(most_sessions) {}

  FleetCounters counters;
  Fleet fleet;
  MonotonicTime now{1h};

  Agent& add(const std::string& id) {
    Agent agent;
    agent.identity = {id, id, "/" + id};
    agent.gate.sampling = true;
    fleet.agents.push_back(agent);
    return fleet.agents.back();
  }
  std::vector<std::string> adopt() { return counters.adopt(fleet, now); }

  /// A look that finds this usage in each role of each metered agent, and these sessions in the first of them.
  void look(Micros usage, const std::vector<std::string>& sessions = {}) {
    Snapshot snapshot;
    for (const auto& agent : fleet.agents) {
      auto& seen = snapshot.agents.emplace_back();
      seen.identity = agent.identity;
      for (auto& role : seen.roles) {
        role.usage = agent.metered() ? Usage{usage} : Usage{};
      }
    }
    for (const auto& session : sessions) {
      snapshot.agents.at(0).sources.push_back({.source = "session:" + session,
                                               .session_name = "name of " + session,
                                               .usage = Usage{usage},
                                               .resident = Bytes{7},
                                               .processes = 1});
    }
    counters.add(snapshot, now);
  }
  [[nodiscard]] const AgentCounters& of(const std::string& id) const { return counters.agents().at(id); }
  [[nodiscard]] Usage server_cpu(const std::string& id) const { return of(id).cpu[0]; }
};

HostNow busy(Micros all, Micros agents, Micros collector, Micros unattributed) {
  return {
      .busy = Usage{all}, .agents = Usage{agents}, .collector = Usage{collector}, .unattributed = Usage{unattributed}};
}

}  // namespace

TEST_CASE("an agent's counters go on where they were when it is switched off and on, or leaves and comes back") {
  Host host;
  host.add("a");
  host.adopt();
  host.look(2s);
  host.fleet.agents[0].gate.sampling = false;
  host.adopt();
  host.look(2s);
  CHECK(host.server_cpu("a") == Usage{2s});
  host.fleet.agents[0].gate.sampling = true;
  host.adopt();
  host.look(3s);
  CHECK(host.server_cpu("a") == Usage{5s});

  host.fleet.agents.clear();
  host.adopt();
  host.look(1s);
  host.now += 24h;
  host.add("a");
  host.adopt();
  CHECK(host.server_cpu("a") == Usage{5s});
  host.look(1s);
  CHECK(host.server_cpu("a") == Usage{6s});
}

TEST_CASE("what has ended is shown for five minutes and then no more") {
  Host host;
  host.add("off");
  host.add("gone");
  host.add("never").gate.sampling = false;
  host.adopt();
  CHECK(host.of("off").shows_cpu(host.now));
  CHECK_FALSE(host.of("never").shows_cpu(host.now));
  CHECK(host.of("never").shows(host.now));

  host.now += 1h;
  CHECK(host.of("gone").shows_cpu(host.now));
  host.fleet.agents.erase(host.fleet.agents.begin() + 1);
  host.fleet.agents[0].gate.sampling = false;
  host.adopt();
  const auto ended = host.now;
  for (const auto later : {0min, 4min}) {
    host.now = ended + later;
    host.adopt();  // again does not count as anew
    CHECK(host.of("off").shows_cpu(host.now));
    CHECK(host.of("gone").shows_cpu(host.now));
    CHECK(host.of("gone").shows(host.now));
  }
  host.now = ended + 5min;
  CHECK_FALSE(host.of("off").shows_cpu(host.now));
  CHECK(host.of("off").shows(host.now));
  CHECK_FALSE(host.of("gone").shows_cpu(host.now));
  CHECK_FALSE(host.of("gone").shows(host.now));

  host.fleet.agents[0].gate.sampling = true;
  host.adopt();
  CHECK(host.of("off").shows_cpu(host.now));
}

TEST_CASE("of very many agents that are gone those that were gone longest are forgotten") {
  Host host;
  for (std::size_t i = 0; i < FleetCounters::kMostGone + 2; ++i) {
    host.add(std::to_string(i));
    host.adopt();
    host.fleet.agents.clear();
    host.now += 1s;
    const auto forgotten = host.adopt();
    CHECK(forgotten.size() == (i < FleetCounters::kMostGone ? 0 : 1));
    if (!forgotten.empty()) {
      CHECK(forgotten[0] == std::to_string(i - FleetCounters::kMostGone));
    }
  }
  CHECK(host.counters.agents().size() == FleetCounters::kMostGone);
}

TEST_CASE("rate-limit events are counted by kind, and kinds that nobody knows as one") {
  Host host;
  const auto id = host.add("a").identity;
  host.adopt();
  host.counters.add(id, {{.kind = "throttle"}, {.kind = "529"}, {.kind = "throttle"}});
  host.counters.add(id, {{.kind = "x\ny"}, {.kind = ""}, {.kind = "circuit-recover"}});
  CHECK(host.of("a").events == std::array<std::uint64_t, 6>{2, 0, 1, 0, 1, 2});
}

TEST_CASE("the parts of the host add up to what it was busy, and none falls where rounding takes more") {
  FleetCounters counters(0);
  Usage busy_until_now;
  HostCounters before;
  for (const auto& now : {busy(10s, 2s, 1s, 1s), busy(1s, 2s, 0s, 0s), busy(3s, 1s, 0s, 0s), busy(0s, 0s, 0s, 0s)}) {
    Snapshot snapshot;
    snapshot.host = now;
    counters.add(snapshot, MonotonicTime{});
    busy_until_now += now.busy;
    const auto& host = counters.host();
    CHECK(host.other >= before.other);
    CHECK(host.agents >= before.agents);
    CHECK(host.agents + host.collector + host.unattributed + host.other >= busy_until_now);
    before = host;
  }
  CHECK(before.other == Usage{7s});
  CHECK(before.agents + before.collector + before.unattributed + before.other == busy_until_now);
}

TEST_CASE("a thousand sessions that came and went leave nothing, and no more than asked for are ever counted") {
  for (const std::size_t most : {std::size_t{0}, std::size_t{3}}) {
    Host host(most);
    host.add("a");
    host.adopt();
    std::size_t counted = 0;
    for (int i = 0; i < 1000; ++i) {
      host.look(1s, {"s" + std::to_string(i), "t" + std::to_string(i)});
      counted = std::max(counted, host.counters.sessions().size());
      host.now += 1min;
    }
    CHECK(counted == most);
    CHECK(host.server_cpu("a") == Usage{1000s});
    host.look(0s);
    host.now += 5min;
    host.look(0s);
    CHECK(host.counters.sessions().empty());
    CHECK(host.counters.sessions_left_out() == 0);
  }
}

TEST_CASE("the sessions that came first are counted until they end; those left out are told and move up") {
  Host host(2);
  host.add("a");
  host.adopt();
  host.look(1s, {"b", "c"});
  host.look(1s, {"a", "b", "c", "d"});
  CHECK(host.counters.sessions_left_out() == 2);
  CHECK(host.counters.sessions().at({"a", "b"}).cpu == Usage{2s});
  CHECK(host.counters.sessions().at({"a", "b"}).name == "name of b");
  host.look(1s, {"a", "b"});
  CHECK(host.counters.sessions().at({"a", "c"}).ended == host.now);
  CHECK(host.counters.sessions().at({"a", "c"}).cpu == Usage{2s});
  host.now += 5min;
  host.look(1s, {"a", "b"});
  CHECK(host.counters.sessions_left_out() == 0);
  CHECK(host.counters.sessions().at({"a", "a"}).cpu == Usage{1s});
  CHECK(host.counters.sessions().at({"a", "b"}).cpu == Usage{4s});
}
