#include "collector/explanation.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace std::chrono_literals;
using fleetledger::test::look;
using fleetledger::test::TreeProcess;

namespace {

constexpr Uid kUser = 1000;
constexpr Claim kServer{1, 1};
constexpr Claim kSession{1, 2};

/// Looks at a host with one metered agent, "echo", and one that is not, "off".
struct Host {
  Host() {
    for (const std::string name : {"echo", "off"}) {
      Agent agent;
      agent.identity = {name + "-id", name, "/" + name};
      agent.gate.sampling = name == "echo";
      agent.reason = "not a development agent";
      fleet.agents.push_back(agent);
    }
    fleet.agents[1].server_pid = 90;
    resolved.metered = {{1, 0}};
    root(10, kServer, "agent-server");
    root(20, kSession, "session:s1", "fix it");
    resolved.roots.collector = 60;
  }

  void root(Pid pid, Claim claim, const std::string& source, const std::string& session_name = "") {
    resolved.roots.claims[{pid, BootTime{}}] = claim;
    resolved.named.push_back({claim, 0, source, pid, session_name});
  }
  void see(const std::vector<TreeProcess>& processes) {
    auto now = look(last.size() == 0 ? 100s : 110s, processes);
    charges = charge(last, now, resolved.roots, membership, scope);
    last = std::move(now);
  }
  [[nodiscard]] Explanation why(Pid pid) const {
    const auto explanation = explain(pid, {.fleet = fleet,
                                           .resolved = resolved,
                                           .table = last,
                                           .charges = charges,
                                           .scope = scope,
                                           .user = kUser,
                                           .first_look = BootTime{100s},
                                           .environment_asked = [](const ProcessKey& key) { return key.pid == 81; }});
    REQUIRE(explanation);
    return *explanation;
  }
  /// Its steps, a line each.
  [[nodiscard]] std::vector<std::string> steps(Pid pid) const {
    std::vector<std::string> lines;
    for (const auto& step : why(pid).steps) {
      lines.push_back(std::to_string(step.pid) + " (" + step.name + ") " + step.text);
    }
    return lines;
  }

  Fleet fleet;
  ResolvedRoots resolved;
  ProcessTable last;
  Charges charges;
  Membership membership;
  Scope scope = Scope::tree;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("what descends from a root is explained step by step up to it") {
  Host host;
  host.see({{.pid = 1, .name = "init"},
            {.pid = 10, .parent = 1, .name = "node"},
            {.pid = 20, .parent = 5, .name = "claude"},
            {.pid = 21, .parent = 20, .name = "bash"},
            {.pid = 22, .parent = 21, .name = "cc1plus"}});
  const auto explanation = host.why(22);
  CHECK(explanation.pid == 22);
  CHECK(explanation.name == "cc1plus");
  CHECK(explanation.why == Attribution::parent);
  CHECK(explanation.agent_id == "echo-id");
  CHECK(explanation.agent_name == "echo");
  CHECK(explanation.source == "session:s1");
  CHECK(host.steps(22) == Lines{"22 (cc1plus) was started by 21 (bash)", "21 (bash) was started by 20 (claude)",
                                "20 (claude) is a pane of session s1 (fix it)"});
  CHECK(host.steps(10) == Lines{"10 (node) is the server of the agent: the registry names its pid"});
  CHECK(host.why(10).source == "agent-server");
}

TEST_CASE("what is remembered says so, and what its source has become") {
  Host host;
  host.see({{.pid = 1}, {.pid = 20, .parent = 5}, {.pid = 21, .parent = 20}, {.pid = 22, .parent = 21}});
  host.see({{.pid = 1}, {.pid = 20, .parent = 5}, {.pid = 22, .parent = 1, .name = "left"}});
  CHECK(host.why(22).why == Attribution::remembered);
  CHECK(host.why(22).source == "session:s1");
  CHECK(host.steps(22) ==
        Lines{"22 (left) is remembered: it has another parent now, and keeps the source that it had before"});

  host.resolved.named.pop_back();
  host.resolved.roots.claims.erase({20, BootTime{}});
  host.see({{.pid = 1}, {.pid = 22, .parent = 1, .name = "left"}});
  CHECK(host.why(22).source == "orphans");
  CHECK(host.why(22).agent_id == "echo-id");
  CHECK(host.steps(22) == Lines{"22 (left) is remembered: the session or server that it came from has ended, so it is "
                                "one of the orphans"});
}

TEST_CASE("what its environment brought back says so, and so does what it starts") {
  Host host;
  host.resolved.roots.declared[{30, BootTime{}}] = {1, kOrphans};
  host.see({{.pid = 1}, {.pid = 30, .parent = 1, .name = "worker"}, {.pid = 31, .parent = 30, .name = "tool"}});
  CHECK(host.why(31).source == "orphans");
  CHECK(host.steps(31) == Lines{"31 (tool) was started by 30 (worker)",
                                "30 (worker) would be nobody's, but names the agent in its environment "
                                "(INSTAR_AGENT_HOME, INSTAR_AGENT_ID)"});
}

TEST_CASE("what is nobody's says by which rule") {
  Host host;
  host.resolved.roots.tmux_servers.push_back({40, BootTime{}});
  host.see({{.pid = 1, .name = "init"},
            {.pid = 2, .resident = Bytes{0}, .name = "kthreadd"},
            {.pid = 3, .parent = 2, .resident = Bytes{0}, .name = "kworker"},
            {.pid = 10, .parent = 1, .owner = kUser, .name = "node"},
            {.pid = 40, .parent = 1, .name = "odd tmux"},
            {.pid = 50, .parent = 1, .name = "systemd"},
            {.pid = 60, .parent = 1, .name = "fleetledger"},
            {.pid = 61, .parent = 60, .name = "ps"},
            {.pid = 70, .parent = 99, .name = "alone"},
            {.pid = 80, .parent = 1, .owner = 5, .name = "sshd"},
            {.pid = 81, .parent = 80, .start = 100s, .owner = kUser, .name = "bash"},
            {.pid = 90, .parent = 1, .name = "node"}});
  const auto rule = [&](Pid pid) { return host.why(pid).steps.back().text; };
  CHECK(rule(1).find("is the first process") == 0);
  CHECK(rule(2) == "is a thread of the kernel");
  CHECK(rule(3) == "is a thread of the kernel");
  CHECK(rule(40).find("is a tmux server") == 0);
  CHECK(rule(50).find("is a service manager") == 0);
  CHECK(rule(60) == "is the collector");
  CHECK(host.steps(61) == Lines{"61 (ps) was started by 60 (fleetledger)", "60 (fleetledger) is the collector"});
  CHECK(rule(70) == "has no parent that can be seen, and is no agent's server and no session's pane");
  CHECK(rule(90) ==
        "is named in the registry as the server of agent off-id, which is not metered: not a development agent");
  CHECK(host.why(81).agent_id.empty());
  CHECK(host.why(81).source.empty());
  CHECK(host.steps(80) ==
        Lines{"80 (sshd) is no agent's server and no session's pane; its parent is 1 (init)",
              "1 (init) is the first process: it adopts everybody's, so it hands nothing down",
              "80 (sshd) belongs to another user (uid 5), so its environment is not asked whose it is",
              "80 (sshd) is older than the first look: who started it is not known if that process had ended before"});
  CHECK(host.steps(81) == Lines{"81 (bash) is no agent's server and no session's pane; its parent is 80 (sshd)",
                                "80 (sshd) is no agent's server and no session's pane; its parent is 1 (init)",
                                "1 (init) is the first process: it adopts everybody's, so it hands nothing down",
                                "81 (bash) names no metered agent in its environment, or may not be asked"});
}

TEST_CASE("nobody's below an agent's process: adopted, or only roots count") {
  Host host;
  host.see({{.pid = 1}, {.pid = 10, .parent = 1, .name = "node"}, {.pid = 30, .parent = 1, .name = "stray"}});
  host.see({{.pid = 1}, {.pid = 10, .parent = 1, .name = "node"}, {.pid = 30, .parent = 10, .name = "stray"}});
  CHECK(host.steps(30) ==
        Lines{"30 (stray) was adopted by 10 (node), or was seen first when it was old already: it stays nobody's"});

  Host alone;
  alone.scope = Scope::process;
  alone.see({{.pid = 10, .name = "node"}, {.pid = 11, .parent = 10, .name = "tool"}});
  CHECK(alone.steps(11) ==
        Lines{"11 (tool) has the parent 10 (node), but with sampling.scope: process only roots count"});
}

TEST_CASE("what was not there has no explanation, and a way without an end is cut off") {
  Host host;
  std::vector<TreeProcess> chain{{.pid = 100, .parent = 299}};
  for (Pid pid = 101; pid < 300; ++pid) {
    chain.push_back({.pid = pid, .parent = pid - 1});
  }
  host.see(chain);
  const auto steps = host.steps(299);
  REQUIRE(steps.size() > 10);
  CHECK(steps.size() < 60);
  CHECK(steps.at(50) == "249 (process) and so on: the rest of the way up is not shown");
  CHECK_FALSE(
      explain(7, {.fleet = host.fleet, .resolved = host.resolved, .table = host.last, .charges = host.charges}));
}
