#include "collector/discovery/roots.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "core/sample.h"

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

constexpr Uid kUser = 1'000;
constexpr Pid kTmux = 50;
// The host has been up for 100,000 s when the wall clock shows 1,000,000 s.
constexpr WallTime kNow{1'000'000s};
constexpr BootTime kUptime{100'000s};

ProcessReading process(Pid pid, Pid parent, std::chrono::seconds start = 1'000s, Uid owner = kUser) {
  ProcessReading reading;
  reading.key = {pid, BootTime{start}};
  reading.parent = parent;
  reading.owner = owner;
  return reading;
}

ProcessTable table(std::vector<ProcessReading> readings) {
  readings.push_back(process(kTmux, 1));
  return {{MonotonicTime{100'000s}, kUptime, Micros{0}, Micros{0}}, std::move(readings)};
}

Pane pane(Pid pid, const std::string& session, bool dead = false) {
  return {.tmux_server = kTmux, .pid = pid, .dead = dead, .session = session};
}

Session session(const std::string& id, std::chrono::seconds started = 0s, bool superseded = false) {
  return {id, "name of " + id, "tmux-" + id, WallTime{started}, superseded};
}

Agent agent(const std::string& path, std::vector<Session> sessions = {}, std::optional<Pid> server = {},
            WallTime heartbeat = kNow) {
  Agent result;
  result.identity = {agent_id("a", path), "a", path};
  result.gate.sampling = true;
  result.live_sessions = std::move(sessions);
  result.server_pid = server;
  result.last_heartbeat = heartbeat;
  return result;
}

Fleet fleet(std::vector<Agent> agents) {
  Fleet result;
  result.agents = std::move(agents);
  return result;
}

/// "agent's path source: pids" of all that has a root.
std::map<std::string, std::set<Pid>> names(const Fleet& of, const ResolvedRoots& resolved) {
  std::map<std::string, std::set<Pid>> result;
  std::map<Claim, std::string> claims;
  for (const NamedRoot& root : resolved.named) {
    const std::string name = of.agents.at(root.agent).identity.path + " " + root.source;
    CHECK(result.count(name) == 0);
    claims[root.claim] = name;
    result[name];
  }
  for (const auto& [key, claim] : resolved.roots.claims) result[claims.at(claim)].insert(key.pid);
  return result;
}

using Names = std::map<std::string, std::set<Pid>>;

bool remarked(const ResolvedRoots& resolved, const Agent& whom, const std::string& text) {
  return std::any_of(resolved.remarks.begin(), resolved.remarks.end(), [&](const auto& remark) {
    return remark.first == whom.identity.id && remark.second.find(text) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("a server and all panes of a session are roots") {
  const Fleet host = fleet({agent("/a", {session("s"), session("paneless")}, 10)});
  RootResolver resolver(kUser);
  const auto resolved = resolver.resolve(
      host, {pane(20, "tmux-s"), pane(21, "tmux-s"), pane(22, "tmux-s", true), pane(23, "other")},
      table({process(10, 1), process(20, kTmux), process(21, kTmux), process(22, kTmux), process(23, kTmux)}), kNow);
  CHECK(names(host, resolved) == Names{{"/a agent-server", {10}}, {"/a session:s", {20, 21}}});
  REQUIRE(resolved.named.size() == 2);
  const NamedRoot& first = resolved.named[0];
  const NamedRoot& second = resolved.named[1];
  CHECK(first.source == "agent-server");
  CHECK(first.session_name.empty());
  CHECK(first.pid == 10);
  CHECK(second.pid == 20);
  CHECK(second.session_name == "name of s");
  CHECK(resolved.roots.tmux_servers == std::vector{ProcessKey{kTmux, BootTime{1'000s}}});
  CHECK(resolved.remarks.empty());
}

TEST_CASE("a pane is found under the name that tmux made of the session's") {
  Agent a = agent("/a", {session("s"), session("t")});
  a.live_sessions[0].tmux_session = "my.session:1";
  a.live_sessions[1].tmux_session = "";
  const Fleet host = fleet({a});
  RootResolver resolver(kUser);
  const auto resolved = resolver.resolve(host, {pane(20, "my_session_1"), pane(21, "")},
                                         table({process(20, kTmux), process(21, kTmux)}), kNow);
  CHECK(names(host, resolved) == Names{{"/a session:s", {20}}});
}

TEST_CASE("an agent whose gate is closed has no roots") {
  Agent off = agent("/a", {session("s")}, 10);
  off.gate.sampling = false;
  Agent disabled = agent("/b", {}, 11);
  disabled.gate.ledger = false;
  const Fleet host = fleet({off, disabled});
  RootResolver resolver(kUser);
  const auto resolved =
      resolver.resolve(host, {pane(20, "tmux-s")}, table({process(10, 1), process(11, 1), process(20, kTmux)}), kNow);
  CHECK(resolved.roots.claims.empty());
  CHECK(resolved.named.empty());
}

TEST_CASE("a server's pid counts only for a process of ours that ran at its last heartbeat") {
  RootResolver resolver(kUser);
  const auto server_of = [&](const Agent& a, const ProcessReading& reading) {
    const Fleet host = fleet({a});
    return resolver.resolve(host, {}, table({reading}), kNow);
  };
  // Started 10 s after boot: at 900,010 s of the wall clock.
  const ProcessReading reading = process(10, 1, 10s);
  CHECK(server_of(agent("/a1", {}, 10, WallTime{900'010s}), reading).named.size() == 1);
  CHECK(server_of(agent("/a2", {}, 10, WallTime{899'950s}), reading).named.size() == 1);
  const Agent recycled = agent("/a3", {}, 10, WallTime{899'949s});
  const auto refused = server_of(recycled, reading);
  CHECK(refused.named.empty());
  CHECK(remarked(refused, recycled, "started after the last heartbeat"));

  const Agent missing = agent("/a4", {}, 11);
  CHECK(remarked(server_of(missing, reading), missing, "pid 11 of the registry is not running"));
  const Agent foreign = agent("/a5", {}, 10);
  CHECK(remarked(server_of(foreign, process(10, 1, 10s, 0)), foreign, "belongs to another user"));
  Agent silent = agent("/a6", {}, 10);
  silent.last_heartbeat.reset();
  CHECK(remarked(server_of(silent, reading), silent, "no heartbeat"));
  ProcessReading zombie = reading;
  zombie.zombie = true;
  const Agent dead = agent("/a7", {}, 10);
  CHECK(remarked(server_of(dead, zombie), dead, "not running"));
  CHECK(server_of(agent("/a8"), reading).remarks.empty());
}

TEST_CASE("a server once accepted stays the server, whatever the wall clock and the heartbeat do") {
  RootResolver resolver(kUser);
  Fleet host = fleet({agent("/a", {}, 10)});
  const auto first = resolver.resolve(host, {}, table({process(10, 1)}), kNow);
  REQUIRE(first.named.size() == 1);
  host.agents[0].last_heartbeat = WallTime{1s};
  const auto later = resolver.resolve(host, {}, table({process(10, 1)}), kNow + 24h);
  REQUIRE(later.named.size() == 1);
  CHECK(later.named[0].claim == first.named[0].claim);
}

TEST_CASE("a recycled pid is not the server, and a new server is a new source") {
  RootResolver resolver(kUser);
  Fleet host = fleet({agent("/a", {}, 10, WallTime{950'000s})});
  const auto first = resolver.resolve(host, {}, table({process(10, 1, 1'000s)}), kNow);
  REQUIRE(first.named.size() == 1);
  // The server ended, its pid is another process's now; the registry does not know.
  const auto recycled = resolver.resolve(host, {}, table({process(10, 1, 99'000s)}), kNow);
  CHECK(recycled.named.empty());
  CHECK(remarked(recycled, host.agents[0], "it is another process"));
  // The server is started again, with a pid and a heartbeat of its own.
  host.agents[0].server_pid = 11;
  host.agents[0].last_heartbeat = kNow;
  const auto second = resolver.resolve(host, {}, table({process(10, 1, 99'000s), process(11, 1, 99'500s)}), kNow);
  REQUIRE(second.named.size() == 1);
  CHECK(second.named[0].pid == 11);
  CHECK(second.named[0].claim.agent == first.named[0].claim.agent);
  CHECK(second.named[0].claim.source > first.named[0].claim.source);
}

TEST_CASE("the registry's other pid is the server, though the one before still lives") {
  RootResolver resolver(kUser);
  Fleet host = fleet({agent("/a", {}, 10)});
  const ProcessTable look = table({process(10, 1), process(11, 1)});
  CHECK(resolver.resolve(host, {}, look, kNow).named.at(0).pid == 10);
  host.agents[0].server_pid = 11;
  CHECK(resolver.resolve(host, {}, look, kNow).named.at(0).pid == 11);
  host.agents[0].server_pid.reset();
  CHECK(resolver.resolve(host, {}, look, kNow).named.empty());
}

TEST_CASE("an agent whose gate was closed for a while keeps its number and gets new sources") {
  RootResolver resolver(kUser);
  Fleet host = fleet({agent("/a", {session("s")}, 10)});
  const std::vector<Pane> panes{pane(20, "tmux-s")};
  const ProcessTable look = table({process(10, 1), process(20, kTmux)});
  const auto before = resolver.resolve(host, panes, look, kNow).named;
  host.agents[0].gate.sampling = false;
  CHECK(resolver.resolve(host, panes, look, kNow).named.empty());
  host.agents[0].gate.sampling = true;
  const auto after = resolver.resolve(host, panes, look, kNow).named;
  REQUIRE(after.size() == 2);
  CHECK(after[0].claim.agent == before[0].claim.agent);
  CHECK(after[0].claim.source > before[1].claim.source);
}

TEST_CASE("claims stay the same while their sources live and are never given again") {
  RootResolver resolver(kUser);
  const Agent one = agent("/a", {session("s")}, 10);
  const Agent two = agent("/b", {session("s")});
  const std::vector<Pane> panes{pane(20, "tmux-s")};
  const ProcessTable look = table({process(10, 1), process(20, kTmux)});
  std::set<Claim> seen;
  const auto claims = [&](const Fleet& host) {
    std::set<Claim> result;
    for (const NamedRoot& root : resolver.resolve(host, panes, look, kNow).named) result.insert(root.claim);
    return result;
  };
  const std::set<Claim> first = claims(fleet({one}));
  CHECK(first.size() == 2);
  CHECK(claims(fleet({one})) == first);
  CHECK(claims(fleet({agent("/0"), one})) == first);  // its place in the fleet does not matter
  for (const Claim& claim : first) CHECK(claim.source != kOrphans);

  CHECK(claims(fleet({two})).size() == 1);
  const std::set<Claim> again = claims(fleet({one}));
  CHECK(again.size() == 2);
  for (const Claim& claim : again) {
    CHECK(first.count(claim) == 0);
    CHECK(claim.agent != first.begin()->agent);
  }
  // Without its session for a while: a new source of the same agent.
  CHECK(claims(fleet({agent("/a", {}, 10)})).size() == 1);
  const std::set<Claim> back = claims(fleet({one}));
  CHECK(back != again);
  CHECK(back.begin()->agent == again.begin()->agent);
}

TEST_CASE("a pane of grouped sessions counts for the session that started last and is not superseded") {
  RootResolver resolver(kUser);
  const std::vector<Pane> panes{pane(20, "tmux-old"), pane(20, "tmux-new"), pane(20, "tmux-newest")};
  const Fleet host = fleet({agent("/a", {session("new", 2s), session("newest", 3s, true), session("old", 1s)})});
  const auto resolved = resolver.resolve(host, panes, table({process(20, kTmux)}), kNow);
  CHECK(names(host, resolved) == Names{{"/a session:new", {20}}});
  CHECK(remarked(resolved, host.agents[0], "session \"old\": pid 20 counts for session \"new\""));
  CHECK(remarked(resolved, host.agents[0], "session \"newest\": pid 20"));
  CHECK(resolved.remarks.size() == 2);
}

TEST_CASE("a pane that two agents claim counts for the one with the newest heartbeat, then the smaller path") {
  RootResolver resolver(kUser);
  const std::vector<Pane> panes{pane(20, "tmux-s")};
  const ProcessTable look = table({process(20, kTmux)});
  Fleet host = fleet({agent("/a", {session("s", 9s)}, {}, kNow - 1s), agent("/b", {session("s")}, {}, kNow)});
  const auto newer = resolver.resolve(host, panes, look, kNow);
  CHECK(names(host, newer) == Names{{"/b session:s", {20}}});
  CHECK(remarked(newer, host.agents[0], "counts for session \"s\" of agent " + host.agents[1].identity.id));
  host.agents[0].last_heartbeat = kNow;
  CHECK(names(host, resolver.resolve(host, panes, look, kNow)) == Names{{"/a session:s", {20}}});
  std::swap(host.agents[0], host.agents[1]);
  CHECK(names(host, resolver.resolve(host, panes, look, kNow)) == Names{{"/a session:s", {20}}});
  host.agents[1].last_heartbeat.reset();
  CHECK(names(host, resolver.resolve(host, panes, look, kNow)) == Names{{"/b session:s", {20}}});
}

TEST_CASE("a server that two agents claim, or that is its own pane, is one source") {
  RootResolver resolver(kUser);
  const Fleet host = fleet({agent("/a", {session("s")}, 10), agent("/b", {}, 10, kNow - 1s)});
  const auto resolved = resolver.resolve(host, {pane(10, "tmux-s")}, table({process(10, kTmux)}), kNow);
  CHECK(names(host, resolved) == Names{{"/a agent-server", {10}}});
  CHECK(remarked(resolved, host.agents[0], "session \"s\": pid 10 counts for its server"));
  CHECK(remarked(resolved, host.agents[1], "its server: pid 10 counts for its server of agent"));
}

TEST_CASE("a pid of an aged pane list that is another process by now is no root") {
  RootResolver resolver(kUser);
  const Fleet host = fleet({agent("/a", {session("s")})});
  const std::vector<Pane> panes{pane(20, "tmux-s")};
  CHECK(resolver.resolve(host, panes, table({process(20, kTmux, 5s)}), kNow).named.size() == 1);
  CHECK(resolver.resolve(host, panes, table({}), kNow).named.empty());
  CHECK(resolver.resolve(host, panes, table({process(20, 1, 6s)}), kNow).named.empty());
}

TEST_CASE("a pane stays a root when tmux is gone and init has become its parent") {
  RootResolver resolver(kUser);
  const Fleet host = fleet({agent("/a", {session("s")})});
  const std::vector<Pane> panes{pane(20, "tmux-s")};
  CHECK(resolver.resolve(host, panes, table({process(20, kTmux)}), kNow).named.size() == 1);
  CHECK(resolver.resolve(host, panes, table({process(20, 1)}), kNow).named.size() == 1);
}

TEST_CASE("a tmux server's pid that is somebody else's by now is not held for tmux") {
  RootResolver resolver(kUser);
  const ProcessTable look({MonotonicTime{1s}, kUptime, Micros{0}, Micros{0}}, {process(kTmux, 1, 1s, 0)});
  CHECK(resolver.resolve(fleet({}), {pane(20, "x")}, look, kNow).roots.tmux_servers.empty());
}

TEST_CASE("an answer holds as long as each process that it rests on is as it was") {
  const Fleet host = fleet({agent("/a", {session("s")}, 10), agent("/b", {}, 11)});
  const std::vector<Pane> panes{pane(20, "tmux-s"), pane(21, "tmux-s")};
  const std::vector<ProcessReading> seen{process(10, 1), process(20, kTmux), process(30, 20)};
  RootResolver resolver(kUser);
  (void)resolver.resolve(host, panes, table(seen), kNow);
  CHECK(resolver.still_holds(table(seen)));

  auto changed = seen;
  changed[2] = process(31, 20);  // nobody asked for these
  CHECK(resolver.still_holds(table(changed)));
  SECTION("a pane has gone") { changed.erase(changed.begin() + 1); }
  SECTION("its pid is another's") { changed[1] = process(20, kTmux, 2'000s); }
  SECTION("it has another parent") { changed[1].parent = 1; }
  SECTION("a pane that was not there is") { changed.push_back(process(21, kTmux)); }
  SECTION("a server that was not there is") { changed.push_back(process(11, 1)); }
  SECTION("a server is another user's") { changed[0].owner = kUser + 1; }
  SECTION("a server is a zombie") { changed[0].zombie = true; }
  CHECK_FALSE(resolver.still_holds(table(changed)));
}

TEST_CASE("an answer that rests on the clock does not hold") {
  const Fleet host = fleet({agent("/a", {}, 10, kNow - 1h)});
  const auto young = table({process(10, 1, 99'990s)});
  RootResolver resolver(kUser);
  REQUIRE(remarked(resolver.resolve(host, {}, young, kNow), host.agents[0], "started after the last heartbeat"));
  CHECK_FALSE(resolver.still_holds(young));
}
