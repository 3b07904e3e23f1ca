#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <sys/stat.h>
#include <utility>

#include "collector/discovery/discovery.h"
#include "tests/collector/discovery/fake_home.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

/// Something that lies where a file should be, and what is said of it.
struct Bad {
  std::string what;
  std::string reason;
  std::function<void(const std::string& path)> put;
};

void write_sparse(const std::string& path) {
  write_file(path, "{");
  std::filesystem::resize_file(path, 100'000'000);
}

/// All but a missing file. `good` is what a valid file of this kind holds.
std::vector<Bad> all_bad(const std::string& good) {
  const auto text = [](std::string content) {
    return [content = std::move(content)](const std::string& path) { write_file(path, content); };
  };
  return {
      {"empty", "it is empty", text("")},
      {"half-written", "it is not JSON", text(good.substr(0, good.size() / 2))},
      {"100 MB", "it is longer than", write_sparse},
      {"a FIFO", "it is a FIFO", [](const std::string& path) { REQUIRE(mkfifo(path.c_str(), 0600) == 0); }},
      {"a directory", "it is a folder", [](const std::string& path) { std::filesystem::create_directory(path); }},
      {"a link to a good file", "it is a link",
       [good](const std::string& path) {
         write_file(path + ".elsewhere", good);
         std::filesystem::create_symlink(path + ".elsewhere", path);
       }},
      {"a link to nothing", "it is a link",
       [](const std::string& path) { std::filesystem::create_symlink("/nowhere", path); }},
      {"a link to a device", "it is a link",
       [](const std::string& path) { std::filesystem::create_symlink("/dev/zero", path); }},
      {"another type", "it is not a JSON object", text("[1,2,3]")},
      {"deep nesting", "it is not JSON", text(std::string(200'000, '['))},
      {"deep nesting, closed", "it is not a JSON object", text(std::string(100'000, '[') + std::string(100'000, ']'))},
      {"invalid UTF-8", "it is not JSON", text(good.substr(0, good.size() - 1) + ",\"x\":\"\xC3\x28\"}")},
      {"a tail of NUL bytes", "it is not JSON: it holds a NUL", text(good + std::string(64, '\0'))},
  };
}

void replace(const std::string& path, const Bad& bad) {
  std::filesystem::remove(path);
  bad.put(path);
}

}  // namespace

TEST_CASE("a bad config makes its agent unreadable, with the reason, and no other") {
  const std::string good = R"({"developmentAgent":true,"projectName":"echo"})";
  for (const Bad& bad : all_bad(good)) {
    CAPTURE(bad.what);
    FakeHome home;
    const std::string fine = home.add("fine");
    const std::string path = home.add("broken");
    const std::string config = path + "/.instar/config.json";
    home.write_registry();
    home.write_session(path, "a", "running");

    replace(config, bad);
    Discovery discovery(home.options());
    auto fleet = discovery.refresh(Depth::changed, wall());
    CHECK(agent_at(*fleet, fine)->state() == AgentState::idle);
    CHECK(agent_at(*fleet, path)->state() == AgentState::unreadable);
    CHECK_FALSE(agent_at(*fleet, path)->metered());
    CHECK_THAT(agent_at(*fleet, path)->reason, Catch::Contains(bad.reason) && Catch::Contains("never read"));

    std::filesystem::remove_all(config);
    write_file(config, good);
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(agent_at(*fleet, path)->state() == AgentState::sampling);

    replace(config, bad);
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(agent_at(*fleet, fine)->state() == AgentState::idle);
    CHECK(agent_at(*fleet, path)->state() == AgentState::unreadable);
    CHECK(agent_at(*fleet, path)->metered());
    CHECK(agent_at(*fleet, path)->live_sessions.size() == 1);
    CHECK_THAT(agent_at(*fleet, path)->reason, Catch::Contains(bad.reason) && Catch::Contains("last good one"));
    CHECK(discovery.refresh(Depth::changed, wall()) == fleet);
  }
}

TEST_CASE("a missing config makes its agent unreadable, and the last good one stays in force") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  std::filesystem::remove(path + "/.instar/config.json");
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, wall())->agents.at(0).reason ==
        "config.json: it does not exist; its config was never read");
  write_file(path + "/.instar/config.json", R"({"developmentAgent":true})");
  CHECK(discovery.refresh(Depth::changed, wall())->agents.at(0).state() == AgentState::idle);
  std::filesystem::remove_all(path + "/.instar");
  const Agent agent = discovery.refresh(Depth::changed, wall())->agents.at(0);
  CHECK(agent.state() == AgentState::unreadable);
  CHECK(agent.metered());
}

TEST_CASE("duplicate keys in a config count as their last, as for the agent itself") {
  FakeHome home;
  home.add("echo", R"({"developmentAgent":false,"developmentAgent":true})");
  home.write_registry();
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  CHECK(fleet->agents.at(0).state() == AgentState::idle);
  CHECK(mentions(fleet->agents[0].remarks, "developmentAgent is there twice"));
}

TEST_CASE("a bad registry leaves its agents as they were known, and those of other homes") {
  const std::string good = R"({"version":1,"entries":[]})";
  for (const Bad& bad : all_bad(good)) {
    CAPTURE(bad.what);
    FakeHome home;
    FakeHome other;
    const std::string path = home.add("echo");
    const std::string elsewhere = other.add("other");
    other.write_registry();
    DiscoveryOptions options = home.options();
    options.config.homes = {"~", other.path()};

    write_file(home.registry(), good);
    replace(home.registry(), bad);
    Discovery discovery(options);
    auto fleet = discovery.refresh(Depth::changed, wall());
    CHECK(fleet->agents.size() == 1);
    CHECK(agent_at(*fleet, elsewhere) != nullptr);
    CHECK(mentions(fleet->remarks, bad.reason));

    std::filesystem::remove_all(home.registry());
    home.write_registry();
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(fleet->agents.size() == 2);
    CHECK(fleet->remarks.empty());

    replace(home.registry(), bad);
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(agent_at(*fleet, path) != nullptr);
    CHECK(agent_at(*fleet, elsewhere) != nullptr);
    CHECK(mentions(fleet->remarks, bad.reason));
    CHECK(mentions(fleet->remarks, "its agents stay as they were known"));
  }
}

TEST_CASE("a bad session file leaves its session as it was known, and the other sessions") {
  const std::string good = R"({"status":"running","tmuxSession":"t"})";
  for (const Bad& bad : all_bad(good)) {
    CAPTURE(bad.what);
    FakeHome home;
    const std::string path = home.add("echo");
    const std::string file = home.session_path(path, "bad");
    home.write_registry();
    home.write_session(path, "fine", "running");
    replace(file, bad);
    Discovery discovery(home.options());
    auto fleet = discovery.refresh(Depth::changed, wall());
    CHECK(fleet->agents.at(0).live_sessions.size() == 1);
    CHECK(mentions(fleet->agents[0].remarks, "session file \"bad.json\": " + bad.reason));

    std::filesystem::remove_all(file);
    write_file(file, good);
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(fleet->agents.at(0).live_sessions.size() == 2);
    CHECK(fleet->agents[0].remarks.empty());

    replace(file, bad);
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(fleet->agents.at(0).live_sessions.size() == 2);
    CHECK(mentions(fleet->agents[0].remarks, bad.reason));
    CHECK(mentions(fleet->agents[0].remarks, "stays as it was known"));

    std::filesystem::remove_all(file);
    write_file(file, R"({"status":"completed"})");
    fleet = discovery.refresh(Depth::changed, wall());
    CHECK(fleet->agents.at(0).live_sessions.size() == 1);
    CHECK(fleet->agents[0].remarks.empty());
  }
}

TEST_CASE("no folder below an agent may be a link") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  CHECK(discovery.refresh(Depth::changed, wall())->agents.at(0).live_sessions.size() == 1);

  std::filesystem::rename(path + "/.instar/state", path + "/elsewhere");
  std::filesystem::create_directory_symlink(path + "/elsewhere", path + "/.instar/state");
  const Agent linked_state = discovery.refresh(Depth::folders, wall())->agents.at(0);
  CHECK(mentions(linked_state.remarks, "state/sessions: a part of its path is not a folder, or a link"));
  CHECK(linked_state.live_sessions.size() == 1);

  std::filesystem::rename(path + "/.instar", path + "/instar");
  std::filesystem::create_directory_symlink(path + "/instar", path + "/.instar");
  const Agent linked_instar = discovery.refresh(Depth::folders, wall())->agents.at(0);
  CHECK(linked_instar.state() == AgentState::unreadable);
  CHECK_THAT(linked_instar.reason, Catch::Contains("not a folder, or a link"));

  std::filesystem::remove(path + "/.instar");
  std::filesystem::rename(path + "/instar", path + "/.instar");
  CHECK(discovery.refresh(Depth::changed, wall())->agents.at(0).state() == AgentState::sampling);
}

TEST_CASE("names of session files that cannot be ids are refused") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  for (const std::string id : {"a\nb", "\xFF", "", "fine \xC3\xA9"}) home.write_session(path, id, "running");
  write_file(home.session_path(path, std::string(210, 'x')), R"({"status":"running"})");
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  REQUIRE(fleet->agents.at(0).live_sessions.size() == 1);
  CHECK(fleet->agents[0].live_sessions[0].id == "fine \xC3\xA9");
  CHECK(mentions(fleet->agents[0].remarks, "session file \"a\\x0ab.json\": its name is no usable id"));
  CHECK(fleet->agents[0].remarks.size() == 4);
}

TEST_CASE("many bad session files give few remarks") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  for (int i = 0; i < 50; ++i) write_file(home.session_path(path, std::to_string(i)), "");
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  CHECK(fleet->agents.at(0).remarks.size() == 6);
  CHECK(fleet->agents[0].remarks.back() == "and 45 more session files that cannot be read");
}

TEST_CASE("a folder of very many session files is cut, and says so") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  for (int i = 0; i < 10'001; ++i) write_file(home.session_path(path, std::to_string(i)), R"({"status":"killed"})");
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  CHECK(mentions(fleet->agents.at(0).remarks, "more than 10000 files"));
}

TEST_CASE("a registry of very many agents is cut, and says so") {
  FakeHome home;
  for (int i = 0; i < 1'999; ++i) home.entries.push_back({.name = "a", .path = "/nowhere/" + std::to_string(i)});
  const std::string last = home.add("last");
  const std::string beyond = home.add("beyond");
  home.write_registry();
  const auto fleet = Discovery(home.options()).refresh(Depth::changed, wall());
  CHECK(agent_at(*fleet, last) != nullptr);
  CHECK(agent_at(*fleet, beyond) == nullptr);
  CHECK(mentions(fleet->remarks, "more than 2000 registry entries"));
  CHECK(fleet->remarks.size() < 300);
}
