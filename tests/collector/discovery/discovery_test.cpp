#include "collector/discovery/discovery.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <sys/stat.h>

#include "collector/discovery/safe_file.h"
#include "tests/collector/discovery/fake_home.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> session_ids(const Agent& agent) {
  std::vector<std::string> ids;
  for (const Session& session : agent.live_sessions) ids.push_back(session.id);
  return ids;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("every agent of the registry is found with its gate, token and live sessions") {
  FakeHome home;
  const std::string on = home.add("echo", R"({"developmentAgent":true,"authToken":"0123456789abcdef","port":4041,
                           "sessions":{"tmuxPath":"/opt/tmux"}})");
  const std::string off = home.add("quiet", "{}");
  home.entries[0].pid = 77;
  home.write_registry();
  home.write_session(on, "b", "running", R"(,"startedAt":"2025-03-01T12:00:00Z")");
  home.write_session(on, "a", "starting");
  home.write_session(on, "c", "completed");

  Discovery discovery(home.options());
  const auto fleet = discovery.refresh(Depth::changed, wall());
  REQUIRE(fleet->agents.size() == 2);
  REQUIRE(fleet->access.size() == 2);
  const Agent& echo = fleet->agents[0];
  CHECK(echo.identity.name == "echo");
  CHECK(echo.identity.path == on);
  CHECK(echo.identity.id == agent_id("echo", on));
  CHECK(echo.state() == AgentState::sampling);
  CHECK(echo.reason == "a development agent");
  CHECK(echo.server_pid == 77);
  CHECK(echo.last_heartbeat == WallTime{1'740'830'400s});
  CHECK(echo.tmux_path == "/opt/tmux");
  CHECK(session_ids(echo) == Ids{"a", "b"});
  CHECK(echo.live_sessions[1] == Session{"b", "name of b", "tmux-b", WallTime{1'740'830'400s}, false});
  CHECK(fleet->access[0].token.secret.reveal() == "0123456789abcdef");
  CHECK(fleet->access[0].port == 4041);
  CHECK(fleet->agents[1].identity.path == off);
  CHECK(fleet->agents[1].state() == AgentState::off);
  CHECK(fleet->agents[1].reason == "not a development agent (developmentAgent is absent in config.json)");
  CHECK(fleet->remarks.empty());
}

TEST_CASE("a fleet in which nothing differs is the same object") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  const auto first = discovery.refresh(Depth::changed, wall());
  CHECK(discovery.refresh(Depth::changed, wall()) == first);
  CHECK(discovery.refresh(Depth::folders, wall()) == first);
  home.write_registry();  // another inode, the same words
  CHECK(discovery.refresh(Depth::changed, wall()) == first);
  home.write_session(path, "a", "running", R"(,"name2":1)");
  CHECK(discovery.refresh(Depth::changed, wall()) == first);
  home.write_session(path, "b", "running");
  const auto second = discovery.refresh(Depth::changed, wall());
  CHECK(second->version > first->version);
  CHECK(first->agents[0].live_sessions.size() == 1);  // what was published stays as it was
}

TEST_CASE("agents of one name stay apart") {
  FakeHome home;
  const std::string one = home.add("echo", "{}", "one");
  const std::string two = home.add("echo", R"({"developmentAgent":true})", "two");
  home.write_registry();
  Discovery discovery(home.options());
  const auto fleet = discovery.refresh(Depth::changed, wall());
  REQUIRE(fleet->agents.size() == 2);
  CHECK(agent_at(*fleet, one)->state() == AgentState::off);
  CHECK(agent_at(*fleet, two)->state() == AgentState::idle);
  CHECK(fleet->agents[0].identity.id != fleet->agents[1].identity.id);
}

TEST_CASE("of two agents with one id only one is metered, and the other is remarked on") {
  FakeHome home;
  // Ids have 32 bits of a hash: among so many paths two have the same.
  std::map<std::string, std::string> places;
  const std::string folder = home.path() + "/agents/";
  for (int i = 0; home.entries.size() < 2; ++i) {
    const std::string place = std::to_string(i);
    const auto [same, is_new] = places.emplace(agent_id("echo", folder + place), place);
    if (is_new) continue;
    home.add("echo", "{}", same->second);
    home.add("echo", "{}", place);
  }
  home.write_registry();
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  CHECK(fleet->agents.size() == 1);
  CHECK(mentions(fleet->remarks, "is that of another one: skipped"));
}

TEST_CASE("an agent joins and leaves with the registry") {
  FakeHome home;
  const std::string one = home.add("one");
  home.write_registry();
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, wall())->agents.size() == 1);
  const std::string two = home.add("two");
  home.write_registry();
  CHECK(agent_at(*discovery.refresh(Depth::changed, wall()), two) != nullptr);
  home.entries.erase(home.entries.begin());
  home.write_registry();
  const auto fleet = discovery.refresh(Depth::changed, wall());
  CHECK(agent_at(*fleet, one) == nullptr);
  CHECK(agent_at(*fleet, two) != nullptr);
}

TEST_CASE("a registry that disappears takes its agents with it, and the legacy one is read in its place") {
  FakeHome home;
  home.add("one");
  const std::string old = home.add("old");
  home.entries.pop_back();
  home.write_registry();
  write_file(home.path() + "/.instar/port-registry.json",
             R"({"entries":[{"projectName":"old","projectDir":")" + old + R"(","port":4040,"pid":9}]})");
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, wall())->agents.at(0).identity.name == "one");
  std::filesystem::remove(home.registry());
  const auto legacy = discovery.refresh(Depth::changed, wall());
  REQUIRE(legacy->agents.size() == 1);
  CHECK(legacy->agents[0].identity.name == "old");
  CHECK(legacy->agents[0].server_pid == 9);
  home.write_registry();
  CHECK(discovery.refresh(Depth::changed, wall())->agents.at(0).identity.name == "one");
  std::filesystem::remove(home.registry());
  std::filesystem::remove(home.path() + "/.instar/port-registry.json");
  const auto none = discovery.refresh(Depth::changed, wall());
  CHECK(none->agents.empty());
  CHECK(mentions(none->remarks, "registry.json\": it does not exist"));
  write_file(home.registry(), "half writ");
  CHECK(discovery.refresh(Depth::changed, wall())->agents.empty());  // what was gone does not come back
}

TEST_CASE("a home without Instar has no agents and becomes one with when Instar comes") {
  FakeHome home;
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, wall())->agents.empty());
  home.add("one");
  home.write_registry();
  CHECK(discovery.refresh(Depth::changed, wall())->agents.size() == 1);
}

TEST_CASE("the gate follows the config within one look") {
  FakeHome home;
  const std::string path = home.add("echo", "{}");
  const std::string config = path + "/.instar/config.json";
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  const auto state = [&](const std::string& text) {
    write_file(config, text);
    return discovery.refresh(Depth::changed, wall())->agents.at(0);
  };
  CHECK(discovery.refresh(Depth::changed, wall())->agents[0].state() == AgentState::off);
  CHECK(state(R"({"developmentAgent":true})").state() == AgentState::sampling);
  CHECK(state(R"({"developmentAgent":false})").reason ==
        "not a development agent (developmentAgent is false in config.json)");
  const Agent forced = state(R"({"monitoring":{"resourceLedger":{"enabled":true}}})");
  CHECK(forced.state() == AgentState::sampling);
  CHECK(forced.reason == "enabled: true in its config");
  const Agent disabled = state(R"({"developmentAgent":true,"monitoring":{"resourceLedger":{"enabled":false}}})");
  CHECK(disabled.state() == AgentState::disabled);
  CHECK(disabled.reason == "enabled: false in its config");
  CHECK(disabled.live_sessions.empty());
  CHECK(state(R"({"developmentAgent":true,"monitoring":{"resourceLedger":{"enabled":"no"}}})").state() ==
        AgentState::sampling);
  CHECK(state(R"({"developmentAgent":1})").state() == AgentState::off);
}

TEST_CASE(
    "cadence and retention come from override, config and defaults, in this order, and too short ones are raised") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  DiscoveryOptions options = home.options();
  options.defaults = {.sample_interval = 11s, .idle_sample_interval = 12s, .retention = 13h, .location = {}};
  Discovery discovery(options);
  const AgentSettings defaults = discovery.refresh(Depth::changed, wall())->agents[0].settings;
  CHECK(defaults == options.defaults);

  write_file(
      path + "/.instar/config.json",
      R"({"monitoring":{"resourceLedger":{"sampleIntervalMs":1000,"idleSampleIntervalMs":90000,"retentionDays":2}}})");
  const Agent own = discovery.refresh(Depth::changed, wall())->agents[0];
  CHECK(own.settings.sample_interval == 5s);
  CHECK(own.settings.idle_sample_interval == 90s);
  CHECK(own.settings.retention == 48h);
  CHECK(own.settings.own_sampler_period == 90s);
  CHECK(mentions(own.remarks, "sampleIntervalMs is raised from 1s to 5s"));

  options.config.overrides["echo"] = {.enabled = true,
                                      .sample_interval = 2s,
                                      .idle_sample_interval = {},
                                      .retention = 1h,
                                      .location = LedgerLocation::central};
  discovery.reconfigure(options);
  const Agent overridden = discovery.refresh(Depth::changed, wall())->agents[0];
  CHECK(overridden.settings.sample_interval == 2s);
  CHECK(overridden.settings.idle_sample_interval == 90s);
  CHECK(overridden.settings.retention == 1h);
  CHECK(overridden.settings.own_sampler_period == 90s);  // that is the agent's affair alone
  CHECK(overridden.settings.location == LedgerLocation::central);
  CHECK(overridden.reason == "enabled by override");
  CHECK(overridden.state() == AgentState::idle);

  options.config.overrides["echo"].enabled = false;
  discovery.reconfigure(options);
  CHECK(discovery.refresh(Depth::changed, wall())->agents[0].state() == AgentState::disabled);
}

TEST_CASE("an override or an exclusion names an agent by name, id or path") {
  FakeHome home;
  const std::string one = home.add("echo", "{}", "one");
  const std::string two = home.add("echo", "{}", "two");
  const std::string three = home.add("lone", "{}");
  home.write_registry();
  DiscoveryOptions options = home.options();
  const auto look = [&options] { return Discovery(options).refresh(Depth::changed, wall()); };

  SECTION("by path, with a tilde and a slash at the end") {
    options.config.overrides["~/agents/one/"].enabled = true;
    const auto fleet = look();
    CHECK(agent_at(*fleet, one)->metered());
    CHECK_FALSE(agent_at(*fleet, two)->metered());
  }
  SECTION("by id") {
    options.config.overrides[agent_id("echo", two)].enabled = true;
    const auto fleet = look();
    CHECK_FALSE(agent_at(*fleet, one)->metered());
    CHECK(agent_at(*fleet, two)->metered());
  }
  SECTION("by a name, which only one may have") {
    options.config.overrides["lone"].enabled = true;
    options.config.overrides["echo"].enabled = true;
    const auto fleet = look();
    CHECK(agent_at(*fleet, three)->metered());
    CHECK_FALSE(agent_at(*fleet, one)->metered());
    CHECK_FALSE(agent_at(*fleet, two)->metered());
    CHECK(mentions(fleet->remarks, "overrides: several agents are called \"echo\""));
  }
  SECTION("the more exact one counts") {
    options.config.overrides["lone"].enabled = true;
    options.config.overrides[three].enabled = false;
    CHECK(agent_at(*look(), three)->state() == AgentState::disabled);
  }
  SECTION("excluded agents are not in the fleet, nor watched") {
    options.config.exclude = {"lone", one};
    const auto fleet = look();
    REQUIRE(fleet->agents.size() == 1);
    CHECK(fleet->agents[0].identity.path == two);
    for (const WatchedFolder& folder : fleet->folders) CHECK(folder.path.find(one) == std::string::npos);
  }
  SECTION("a name that several have excludes them all, and says so") {
    options.config.exclude = {"echo"};
    const auto fleet = look();
    CHECK(fleet->agents.size() == 1);
    CHECK(mentions(fleet->remarks, "exclude: several agents are called \"echo\""));
  }
  SECTION("a word that fits nobody is remarked on") {
    options.config.exclude = {"nobody"};
    options.config.overrides["noone"] = {};
    const auto fleet = look();
    CHECK(mentions(fleet->remarks, "exclude: no agent is called \"nobody\""));
    CHECK(mentions(fleet->remarks, "overrides: no agent is called \"noone\""));
  }
}

TEST_CASE("agents that no registry lists are found by their path and named by their config") {
  FakeHome home;
  const std::string named = home.add("a", R"({"projectName":"own name"})");
  const std::string nameless = home.add("b", "{}");
  const std::string both = home.add("c", R"({"projectName":"not this"})");
  home.entries = {home.entries[2]};
  home.entries[0].pid = 5;
  home.write_registry();
  DiscoveryOptions options = home.options();
  options.config.agents = {"~/agents/a", nameless, both, home.path() + "/nowhere", "relative"};
  Discovery discovery(options);
  const auto fleet = discovery.refresh(Depth::changed, wall());
  REQUIRE(fleet->agents.size() == 3);
  CHECK(agent_at(*fleet, named)->identity.name == "own name");
  CHECK(agent_at(*fleet, nameless)->identity.name == "b");
  CHECK(agent_at(*fleet, both)->identity.name == "c");
  CHECK(agent_at(*fleet, both)->server_pid == 5);
  CHECK(mentions(fleet->remarks, "nowhere\": it does not exist: skipped"));
  CHECK(mentions(fleet->remarks, "\"relative\": it is not an absolute path"));
}

TEST_CASE("an entry whose folder is missing is remarked on and found as soon as the folder is there") {
  FakeHome home;
  home.entries.push_back({.name = "late", .path = home.path() + "/agents/late"});
  home.write_registry();
  Discovery discovery(home.options());
  const auto before = discovery.refresh(Depth::changed, wall());
  CHECK(before->agents.empty());
  CHECK(mentions(before->remarks, "agent \"late\""));
  home.entries.clear();
  home.add("late");
  const auto after = discovery.refresh(Depth::changed, wall());
  CHECK(after->agents.size() == 1);
  CHECK(after->remarks.empty());
}

TEST_CASE("a folder that is registered under two paths is one agent, with the newest heartbeat") {
  FakeHome home;
  const std::string path = home.add("echo");
  std::filesystem::create_directory_symlink(path, home.path() + "/link");
  home.entries[0].pid = 1;
  home.entries.push_back(
      {.name = "alias", .path = home.path() + "/link", .pid = 2, .heartbeat = "2025-03-02T12:00:00.000Z"});
  home.write_registry();
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  REQUIRE(fleet->agents.size() == 1);
  CHECK(fleet->agents[0].identity.path == path);
  CHECK(fleet->agents[0].server_pid == 2);
  CHECK(mentions(fleet->remarks, "registered more than once"));
}

TEST_CASE("homes may be globs: those with Instar are read, each once") {
  FakeHome home;
  for (const std::string name : {"a", "b"}) {
    const std::string agent = home.path() + "/homes/" + name + "/agent";
    write_file(agent + "/.instar/config.json", "{}");
    write_file(home.path() + "/homes/" + name + "/.instar/registry.json",
               R"({"entries":[{"name":"x","path":")" + agent + R"("}]})");
  }
  write_file(home.path() + "/homes/c/something", "");
  DiscoveryOptions options = home.options();
  options.config.homes = {"~/homes/*", "~/homes/a/", "~/homes/missing"};
  Discovery discovery(options);
  const auto fleet = discovery.refresh(Depth::changed, wall());
  CHECK(fleet->agents.size() == 2);
  CHECK(mentions(fleet->remarks, "missing\": it does not exist"));
  CHECK(fleet->remarks.size() == 1);
}

TEST_CASE("what belongs to another user is skipped with a remark") {
  FakeHome home;
  home.add("echo");
  home.write_registry();
  DiscoveryOptions options = home.options();
  options.user += 1;
  const auto fleet = Discovery(options).refresh(Depth::changed, wall());
  CHECK(fleet->agents.empty());
  CHECK(mentions(fleet->remarks, "it belongs to another user: skipped"));
}

TEST_CASE("a session that ends, starts again or vanishes is seen at the next look") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  const auto ids = [&](Depth depth = Depth::changed, const std::vector<std::string>& folders = {}) {
    return session_ids(discovery.refresh(depth, wall(), {.changed = folders, .unwatched = {}})->agents.at(0));
  };
  CHECK(ids() == Ids{"a"});
  home.write_session(path, "b", "running");  // the folder itself changes
  CHECK(ids() == Ids{"a", "b"});
  home.write_session(path, "a", "completed");
  CHECK(ids() == Ids{"b"});
  std::filesystem::remove(home.session_path(path, "b"));
  CHECK(ids().empty());
  home.write_session(path, "a", "running");  // in place: only a listing finds it
  CHECK(ids(Depth::changed, {"/elsewhere"}).empty());
  CHECK(ids(Depth::changed, {path + "/.instar/state/sessions"}) == Ids{"a"});
  home.write_session(path, "a", "failed");
  CHECK(ids().empty());
  home.write_session(path, "a", "starting");
  CHECK(ids(Depth::folders) == Ids{"a"});
  std::filesystem::remove_all(path + "/.instar/state");
  CHECK(ids().empty());
}

TEST_CASE(
    "a look at what is told finds that, what depends on it and what is unwatched; the rest waits for a whole one") {
  FakeHome home;
  const std::string echo = home.add("echo");
  const std::string luna = home.add("luna");
  home.write_registry();
  home.write_session(echo, "a", "running");
  Discovery discovery(home.options());
  static_cast<void>(discovery.refresh(Depth::folders, wall()));
  const auto told = [&](std::vector<std::string> changed, std::vector<std::string> unwatched = {}) {
    return discovery.refresh(Depth::told, wall(), {std::move(changed), std::move(unwatched)});
  };
  const std::string sessions = "/.instar/state/sessions";

  home.write_session(echo, "a", "completed");
  home.write_session(luna, "b", "running");
  CHECK(session_ids(told({})->agents.at(0)) == Ids{"a"});
  CHECK(session_ids(told({luna + sessions})->agents.at(1)) == Ids{"b"});
  CHECK(session_ids(told({})->agents.at(0)) == Ids{"a"});
  CHECK(session_ids(told({}, {echo + sessions})->agents.at(0)).empty());

  // A gate that opens: its sessions are read though nobody tells of their folder.
  write_file(luna + "/.instar/config.json", R"({"developmentAgent":false})");
  CHECK(told({})->agents.at(1).state() != AgentState::off);
  CHECK(told({luna + "/.instar"})->agents.at(1).state() == AgentState::off);
  write_file(luna + "/.instar/config.json", R"({"developmentAgent":true})");
  CHECK(session_ids(told({luna + "/.instar"})->agents.at(1)) == Ids{"b"});

  // A new agent: all of its files are read.
  const std::string nova = home.add("nova");
  home.write_session(nova, "c", "running");
  home.write_registry();
  CHECK(told({})->agents.size() == 2);
  const auto with_nova = told({home.path() + "/.instar"});
  REQUIRE(with_nova->agents.size() == 3);
  CHECK(session_ids(with_nova->agents.at(2)) == Ids{"c"});

  home.write_session(nova, "c", "completed");
  CHECK(session_ids(discovery.refresh(Depth::changed, wall())->agents.at(2)).empty());
}

TEST_CASE("a link in an agent's path that leads elsewhere is followed with the next whole look") {
  FakeHome home;
  const std::string one = home.add("one");
  const std::string two = home.add("two");
  const std::string link = home.path() + "/current";
  std::filesystem::create_directory_symlink(one, link);
  DiscoveryOptions options = home.options();
  options.config.agents = {link};
  Discovery discovery(options);
  const auto path = [&](Depth depth) { return discovery.refresh(depth, wall())->agents.at(0).identity.path; };
  CHECK(path(Depth::folders) == one);
  std::filesystem::remove(link);
  std::filesystem::create_directory_symlink(two, link);
  CHECK(path(Depth::told) == one);
  CHECK(path(Depth::changed) == two);
  CHECK(path(Depth::told) == two);
}

TEST_CASE("a young file is read again at the next look, though nothing is told") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  // As at the moment of writing: the files are young, and stay so for two seconds.
  static_cast<void>(discovery.refresh(Depth::folders, wall(0s)));
  write_file(path + "/.instar/config.json", R"({"developmentAgent":false})");
  CHECK(discovery.refresh(Depth::told, wall(0s))->agents.at(0).state() == AgentState::off);
  static_cast<void>(discovery.refresh(Depth::told, wall()));  // settled
  write_file(path + "/.instar/config.json", R"({"developmentAgent":true})");
  CHECK(discovery.refresh(Depth::told, wall())->agents.at(0).state() == AgentState::off);
}

TEST_CASE("a file that just changed is read again at the next look, whatever its times say, an ended one too") {
  FakeHome home;
  const std::string path = home.add("echo", R"({"developmentAgent":1111})");
  home.write_registry();
  home.write_session(path, "a", "completed");
  Discovery discovery(home.options());
  // As at the moment of writing: the files are young, and stay so for two seconds.
  CHECK(discovery.refresh(Depth::changed, wall(0s))->agents.at(0).state() == AgentState::off);
  write_file(path + "/.instar/config.json", R"({"developmentAgent":true})");
  home.write_session(path, "a", "running");
  CHECK(session_ids(discovery.refresh(Depth::changed, wall(0s))->agents.at(0)) == Ids{"a"});
  // The young ended file is read again at each look, without a listing.
  home.write_session(path, "a", "completed");
  CHECK(session_ids(discovery.refresh(Depth::changed, wall(0s))->agents.at(0)).empty());
  home.write_session(path, "a", "starting!");
  CHECK(session_ids(discovery.refresh(Depth::changed, wall(0s))->agents.at(0)).empty());
  home.write_session(path, "a", "starting");
  CHECK(session_ids(discovery.refresh(Depth::changed, wall(0s))->agents.at(0)) == Ids{"a"});
}

TEST_CASE("an ended file that just changed is looked at again though its folder has long been the same") {
  FakeHome home;
  const std::string path = home.add("echo");
  const std::string file = home.session_path(path, "a");
  home.write_registry();
  home.write_session(path, "a", "completed");
  const auto changed_ns = [](const std::string& of) {
    struct stat status {};
    REQUIRE(::stat(of.c_str(), &status) == 0);
    return std::chrono::seconds{status.st_ctim.tv_sec} + std::chrono::nanoseconds{status.st_ctim.tv_nsec};
  };
  const auto folder_changed = changed_ns(std::filesystem::path(file).parent_path());
  while (changed_ns(file) < folder_changed + 5ms) home.write_session(path, "a", "completed");
  // At this moment the file is young and the folder is not.
  const WallTime now{std::chrono::floor<std::chrono::milliseconds>(changed_ns(file)) + 1'999ms};
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, now)->agents.at(0).live_sessions.empty());
  home.write_session(path, "a", "running");
  CHECK(discovery.refresh(Depth::changed, now)->agents.at(0).live_sessions.size() == 1);
}

TEST_CASE("of several files that name one tmux session the newest that is not superseded is the session") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  const auto write = [&](const std::string& id, const std::string& tmux, const std::string& more) {
    write_file(home.session_path(path, id), R"({"status":"running","tmuxSession":")" + tmux + "\"" + more + "}");
  };
  write("old", "t.1", R"(,"startedAt":"2025-03-01T12:00:00Z")");
  write("new", "t_1", R"(,"startedAt":"2025-03-01T12:00:01Z")");
  write("newest", "t:1", R"(,"startedAt":"2025-03-01T12:00:02Z","supersededBy":"new")");
  write("alone", "t2", R"(,"supersededBy":"gone")");
  write("unnamed1", "", "");
  write("unnamed2", "", "");
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  const Agent& agent = fleet->agents.at(0);
  CHECK(session_ids(agent) == Ids{"alone", "new", "unnamed1", "unnamed2"});
  CHECK(mentions(agent.remarks, "session \"old\": its tmux session is that of session \"new\""));
  CHECK(mentions(agent.remarks, "session \"newest\""));
}

TEST_CASE("folders to watch: registries, configs, session folders of metered agents, logs of those with a ledger") {
  FakeHome home;
  const std::string on = home.add("on");
  const std::string off = home.add("off", "{}");
  const std::string disabled = home.add("disabled", R"({"monitoring":{"resourceLedger":{"enabled":false}}})");
  std::filesystem::create_directory(on + "/logs");
  home.write_registry();
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  using Holds = WatchedFolder::Holds;
  std::vector<WatchedFolder> expected{{home.path() + "/.instar", Holds::settings},
                                      {on + "/.instar", Holds::settings},
                                      {on + "/.instar/state/sessions", Holds::sessions},
                                      {on + "/logs", Holds::logs},
                                      {off + "/.instar", Holds::settings},
                                      {off + "/logs", Holds::logs},
                                      {disabled + "/.instar", Holds::settings}};
  std::sort(expected.begin(), expected.end());
  auto folders = fleet->folders;
  for (auto& folder : folders) {
    FolderIdentity found;
    identify(Folder::open(folder.path), found);
    CHECK(std::exchange(folder.which, {}) == found);
  }
  CHECK(folders == expected);
}

TEST_CASE("a folder that another takes the place of is named as another folder to watch") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  std::filesystem::create_directory(path + "/logs");
  Discovery discovery(home.options());
  const auto before = discovery.refresh(Depth::folders, wall())->folders;
  // The whole agent, of which no watch on a folder in it tells, with files that say the same.
  std::filesystem::rename(path, path + ".old");
  std::filesystem::copy(path + ".old", path, std::filesystem::copy_options::recursive);
  const auto after = discovery.refresh(Depth::changed, wall())->folders;
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    CHECK(after[i].path == before[i].path);
    CHECK((after[i].which != before[i].which) == after[i].path.starts_with(path));
  }
}

TEST_CASE("other options count from the next look on, and what was read stays known") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, wall())->agents.size() == 1);
  write_file(home.session_path(path, "a"), "half writ");
  DiscoveryOptions options = home.options();
  options.config.exclude = {"nobody"};
  discovery.reconfigure(options);
  CHECK(session_ids(discovery.refresh(Depth::changed, wall())->agents.at(0)) == Ids{"a"});
  options.config.homes = {};
  discovery.reconfigure(options);
  CHECK(discovery.refresh(Depth::changed, wall())->agents.empty());
}
