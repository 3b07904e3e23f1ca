#include "collector/discovery/declarations.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace std::chrono_literals;
using fleetledger::test::look;
using fleetledger::test::TreeProcess;

namespace {

constexpr Uid kUser = 1000;
constexpr std::size_t kMost = 200;

/// Looks one after the other, as the collector does.
struct Looks {
  Declarations declarations{kUser};
  ProcessTable last;
  Roots roots;
  Membership membership;

  /// The pids whose environments are to be read after a look at these.
  std::vector<Pid> to_read(std::vector<TreeProcess> processes, std::size_t most = kMost) {
    for (auto& process : processes) {
      process.owner = process.owner == 0 ? kUser : process.owner;
    }
    auto now = look(last.size() == 0 ? 100s : 110s, processes);
    const auto charges = charge(last, now, roots, membership);
    last = std::move(now);
    std::vector<Pid> pids;
    for (const auto& process : declarations.to_read(last, charges, most)) {
      pids.push_back(process.pid);
    }
    return pids;
  }
};

/// Agents at /agents/NAME, all of them metered.
struct Names {
  Fleet fleet;
  ResolvedRoots resolved;
  Declarations declarations{kUser};

  Agent& add(const std::string& name, const std::string& path) {
    Agent agent;
    agent.identity = {agent_id(name, path), name, path};
    agent.named_path = path;
    fleet.agents.push_back(std::move(agent));
    fleet.access.emplace_back();
    const auto at = fleet.agents.size() - 1;
    resolved.metered.push_back({static_cast<std::uint32_t>(at + 1), at});
    ++fleet.version;
    return fleet.agents.back();
  }
  /// Whose a process is that says so.
  std::optional<Claim> whose(const Declaration& says) {
    constexpr ProcessKey kProcess{77, BootTime{}};
    declarations.keep({{kProcess, says}});
    const auto claims = declarations.claims(fleet, resolved);
    const auto found = claims.find(kProcess);
    return found == claims.end() ? std::nullopt : std::optional{found->second};
  }
};

constexpr Claim kOrphansOfFirst{1, kOrphans};
constexpr Claim kOrphansOfSecond{2, kOrphans};

}  // namespace

TEST_CASE("read is what is nobody's, ours, and below nobody who is somebody's; each process once") {
  Looks looks;
  looks.roots.claims[{10, BootTime{}}] = {1, 1};
  looks.roots.collector = 50;
  const std::vector<TreeProcess> host{{.pid = 1},
                                      {.pid = 10, .parent = 1},
                                      {.pid = 11, .parent = 10},
                                      {.pid = 20, .parent = 1},
                                      {.pid = 21, .parent = 20},
                                      {.pid = 30, .parent = 1, .owner = 5},
                                      {.pid = 31, .parent = 30},
                                      {.pid = 40, .parent = 1, .name = "tmux: server"},
                                      {.pid = 41, .parent = 40},
                                      {.pid = 42, .parent = 1, .name = "systemd"},
                                      {.pid = 43, .parent = 1, .zombie = true},
                                      {.pid = 50, .parent = 1},
                                      {.pid = 51, .parent = 50}};
  CHECK(looks.to_read(host) == std::vector<Pid>{20, 21, 31, 41});
  CHECK(looks.declarations.asked({20, BootTime{}}));
  CHECK_FALSE(looks.declarations.asked({11, BootTime{}}));
  CHECK(looks.to_read(host).empty());

  // A pid that is used again is another process, and what is nobody's but was adopted is left alone.
  auto later = host;
  later.push_back({.pid = 60, .parent = 1, .start = 105s});
  later.push_back({.pid = 61, .parent = 10, .start = 50s});
  later[3].start = 104s;
  CHECK(looks.to_read(later) == std::vector<Pid>{20, 60});
}

TEST_CASE("a host full of new processes is read in parts") {
  Looks looks;
  std::vector<TreeProcess> host;
  for (Pid pid = 2; pid < 502; ++pid) {
    host.push_back({.pid = pid, .parent = 1});
  }
  std::vector<Pid> all;
  for (const std::size_t expected : {200U, 200U, 100U, 0U}) {
    const auto part = looks.to_read(host);
    CHECK(part.size() == expected);
    all.insert(all.end(), part.begin(), part.end());
  }
  std::vector<Pid> every(500);
  std::iota(every.begin(), every.end(), 2);
  CHECK(all == every);
}

TEST_CASE("parents that run in circles end no look") {
  Looks looks;
  CHECK(looks.to_read({{.pid = 5, .parent = 6}, {.pid = 6, .parent = 5}, {.pid = 7, .parent = 7}}).size() == 3);
}

TEST_CASE("an agent is named by its path however it is written, and by its names only where there is no path") {
  Names names;
  names.add("echo", "/data/agents/echo").named_path = "/home/me/echo/";
  names.add("two", "/agents/two");
  names.fleet.access[1].project_name = "project two";
  struct Row {
    Declaration says;
    std::optional<Claim> whose;
  };
  const std::vector<Row> table{
      {{"/data/agents/echo", "", ""}, kOrphansOfFirst},
      {{"/data/agents/echo/", "two", ""}, kOrphansOfFirst},
      {{"/data/agents/echo/.instar", "", ""}, kOrphansOfFirst},
      {{"/home/me/echo", "", ""}, kOrphansOfFirst},
      {{"/agents/other", "two", ""}, std::nullopt},
      {{"agents/two", "two", ""}, std::nullopt},
      {{"/", "two", ""}, std::nullopt},
      {{"", "two", "gone"}, kOrphansOfSecond},
      {{"", "project two", ""}, kOrphansOfSecond},
      {{"", agent_id("two", "/agents/two"), ""}, kOrphansOfSecond},
      {{"", "nobody", ""}, std::nullopt},
      {{"", "", "s1"}, std::nullopt},
  };
  for (const auto& row : table) {
    INFO(row.says.agent_home << " " << row.says.agent_id);
    CHECK(names.whose(row.says) == row.whose);
  }
}

TEST_CASE("a name that two agents have names neither, and an agent that is not metered has no claims") {
  Names names;
  names.add("echo", "/a/echo");
  names.add("echo", "/b/echo");
  CHECK_FALSE(names.whose({"", "echo", ""}));
  CHECK(names.whose({"/b/echo", "echo", ""}) == kOrphansOfSecond);
  names.resolved.metered.pop_back();
  CHECK_FALSE(names.whose({"/b/echo", "echo", ""}));
}

TEST_CASE("a session with a root is charged itself, another's session of that name is not") {
  constexpr Claim kSessionOfFirst{1, 7};
  Names names;
  names.add("one", "/a/one");
  names.add("two", "/a/two");
  names.resolved.named.push_back({{1, 6}, 0, "agent-server", 5, {}});
  names.resolved.named.push_back({kSessionOfFirst, 0, "session:s1", 9, "first"});
  CHECK(names.whose({"/a/one", "", "s1"}) == kSessionOfFirst);
  CHECK(names.whose({"/a/one", "", "s2"}) == kOrphansOfFirst);
  CHECK(names.whose({"/a/one", "", ""}) == kOrphansOfFirst);
  CHECK(names.whose({"/a/two", "", "s1"}) == kOrphansOfSecond);
}

TEST_CASE("an agent that is registered later gets what has named it, and what is gone is forgotten") {
  Names names;
  const Declaration says{"/a/late", "", ""};
  CHECK_FALSE(names.whose(says));
  names.add("late", "/a/late");
  CHECK(names.declarations.claims(names.fleet, names.resolved).size() == 1);

  Membership membership;
  const auto table = look(100s, {{.pid = 1}});
  static_cast<void>(names.declarations.to_read(table, charge({}, table, {}, membership), kMost));
  CHECK(names.declarations.claims(names.fleet, names.resolved).empty());
}
