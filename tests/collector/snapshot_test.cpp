#include <catch2/catch.hpp>
#include <unistd.h>

#include "collector/snapshot_maker.h"
#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

constexpr Claim kServerClaim{1, 1};
constexpr Claim kSessionClaim{1, 2};

/// One agent with a server (pid 10) and a session (pid 20); everything else is nobody's.
struct Host {
  Fleet fleet;
  ResolvedRoots resolved;
  Meter meter{Scope::tree};
  SnapshotMaker maker;
  HostReading host{.busy = CpuTotal{100s}, .cpus = 2, .memory_total = Bytes{1000}};

  Host() {
    Agent agent;
    agent.identity = {"echo-1", "echo", "/echo"};
    agent.gate.sampling = true;
    fleet.agents = {agent};
    resolved.metered = {{.number = 1, .agent = 0}};
    resolved.named = {{kServerClaim, 0, "agent-server", 10, ""}, {kSessionClaim, 0, "session:s", 20, "<b>s</b>"}};
    resolved.roots.claims = {{{10, BootTime{}}, kServerClaim}, {{20, BootTime{}}, kSessionClaim}};
    resolved.roots.collector = 5;
  }

  /// `busy`: since boot, when the host's counters are read: `late` after the look.
  Snapshot see(Micros after_boot, Micros busy, std::vector<TreeProcess> tree, Micros late = 0s) {
    tree.push_back({.pid = 1});
    meter.look(look(after_boot, tree), resolved);
    host.busy = CpuTotal{100s + busy};
    return maker.make(fleet, resolved, meter, host, meter.last_look().moment().taken + late);
  }
};

Usage sum_of_rows(const HostNow& host) {
  return host.agents + host.collector + host.other + host.unattributed + host.rounding;
}

}  // namespace

TEST_CASE("the rows of a host add up to what the kernel says it was busy") {
  Host host;
  host.see(100s, 0s,
           {{.pid = 5, .parent = 1}, {.pid = 10, .parent = 1}, {.pid = 20, .parent = 1}, {.pid = 30, .parent = 1}});
  const auto now = host.see(110s, 12s,
                            {{.pid = 5, .parent = 1, .own = 1s},
                             {.pid = 6, .parent = 5, .start = 109s, .resident = Bytes{300}, .name = "ps"},
                             {.pid = 10, .parent = 1, .own = 2s},
                             {.pid = 20, .parent = 1, .own = 3s},
                             {.pid = 30, .parent = 1, .own = 4s, .name = "cc1plus"}});
  CHECK(now.host.interval == Micros{10s});
  CHECK(now.host.busy == Usage{12s});
  CHECK(now.host.agents == Usage{5s});
  CHECK(now.host.collector == Usage{1s});
  CHECK(now.host.other == Usage{6s});
  CHECK(now.host.rounding == Usage{0s});
  CHECK(now.host.collector_children == Bytes{300});
  CHECK(sum_of_rows(now.host) == now.host.busy);
  REQUIRE_FALSE(now.host.top_others.empty());
  CHECK(now.host.top_others[0].name == "cc1plus");
  CHECK(now.host.top_others[0].usage == Usage{4s});
}

TEST_CASE("where rounding makes the rest negative it is zero, with a row for the rounding") {
  Host host;
  host.see(100s, 0s, {{.pid = 20, .parent = 1}});
  const auto now = host.see(110s, 2990ms, {{.pid = 20, .parent = 1, .own = 3s}});
  CHECK(now.host.other == Usage{});
  CHECK(now.host.rounding == Usage{-10ms});
  CHECK(sum_of_rows(now.host) == now.host.busy);
}

TEST_CASE("a host whose counters were read late after one look was busier than all its cores") {
  Host host;
  host.see(100s, 0s, {{.pid = 20, .parent = 1}});
  const auto now = host.see(101s, 2400ms, {{.pid = 20, .parent = 1, .own = 1s}}, 200ms);
  CHECK(now.host.interval == Micros{1s});
  CHECK(now.host.busy == Usage{2s});
  CHECK(now.host.other == Usage{1s});
  const auto next = host.see(102s, 4s, {{.pid = 20, .parent = 1, .own = 2s}});
  CHECK(next.host.busy == Usage{2s});
}

TEST_CASE("what was seen of everything else was more than everything else") {
  Host host;
  host.see(100s, 0s, {{.pid = 20, .parent = 1}, {.pid = 30, .parent = 1}});
  const auto now = host.see(
      110s, 3s, {{.pid = 20, .parent = 1, .own = 3s}, {.pid = 30, .parent = 1, .own = 200ms, .name = "cc1plus"}});
  CHECK(now.host.other == Usage{200ms});
  CHECK(now.host.rounding == Usage{-200ms});
  CHECK(sum_of_rows(now.host) == now.host.busy);
}

TEST_CASE("what an agent's processes use when it is not metered any more is part of everything else") {
  Host host;
  host.see(100s, 0s, {{.pid = 10, .parent = 1}, {.pid = 20, .parent = 1}});
  host.resolved.metered.clear();
  const auto now = host.see(110s, 5s, {{.pid = 10, .parent = 1, .own = 2s}, {.pid = 20, .parent = 1, .own = 3s}});
  CHECK(now.host.agents == Usage{});
  CHECK(now.host.other == Usage{5s});
  CHECK(sum_of_rows(now.host) == now.host.busy);
}

TEST_CASE("before there were two looks a host has no interval") {
  Host host;
  const auto now = host.see(100s, 5s, {{.pid = 20, .parent = 1, .own = 3s}});
  CHECK(now.host.interval == Micros{0});
  CHECK(now.host.busy == Usage{});
  CHECK(now.host.cpus == 2);
}

TEST_CASE("an agent's roles do not overlap") {
  Host host;
  host.see(100s, 0s, {{.pid = 10, .parent = 1}, {.pid = 20, .parent = 1}, {.pid = 21, .parent = 20}});
  const auto both = host.see(
      110s, 9s,
      {{.pid = 10, .parent = 1, .own = 1s}, {.pid = 20, .parent = 1, .own = 2s}, {.pid = 21, .parent = 20, .own = 4s}});
  const auto role = [](const Snapshot& snapshot, Role which) {
    return snapshot.agents.at(0).roles[static_cast<std::size_t>(which)];
  };
  CHECK(role(both, Role::server).usage == Usage{1s});
  CHECK(role(both, Role::sessions).usage == Usage{6s});
  CHECK(role(both, Role::sessions).processes == 2);
  CHECK(both.agents.at(0).sources.at(1).session_name == "<b>s</b>");

  host.resolved.named.pop_back();
  host.resolved.roots.claims.erase(ProcessKey{20, BootTime{}});
  const auto ended = host.see(120s, 10s, {{.pid = 10, .parent = 1, .own = 1s}, {.pid = 21, .parent = 1, .own = 5s}});
  CHECK(role(ended, Role::sessions).usage == Usage{});
  CHECK(role(ended, Role::sessions).processes == 0);
  CHECK(role(ended, Role::orphans).usage == Usage{1s});
  CHECK(role(ended, Role::orphans).processes == 1);
  CHECK(ended.agents.at(0).sources.back().source == "orphans");
}
