#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collector/discovery/discovery.h"
#include "collector/discovery/folder_readers.h"
#include "tests/collector/discovery/fake_home.h"

// The disk hangs where it is asked about a file: this stands before the C library's own.

namespace {

std::mutex mutex;
std::condition_variable changed;
std::string hung;  ///< part of a path; empty: nothing
int waiting = 0;

void set_hung(const std::string& path) {
  std::unique_lock lock(mutex);
  hung = path;
  changed.notify_all();
}

/// Until no look waits any more; it may not be over for its thread.
void answer() {
  set_hung("");
  std::unique_lock lock(mutex);
  changed.wait(lock, [] { return waiting == 0; });
}

}  // namespace

extern "C" int fstatat(int folder, const char* name, struct stat* status, int flags) noexcept {
  std::string path(4096, '\0');
  const auto length = readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), path.data(), path.size());
  path.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  path = path + '/' + name;
  {
    std::unique_lock lock(mutex);
    ++waiting;
    changed.wait(lock, [&] { return hung.empty() || path.find(hung) == std::string::npos; });
    --waiting;
    changed.notify_all();
  }
  return static_cast<int>(syscall(SYS_newfstatat, folder, name, status, flags));
}

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

const Agent& agent_in(const Fleet& fleet, const std::string& path) {
  const auto found = std::find_if(fleet.agents.begin(), fleet.agents.end(),
                                  [&](const Agent& agent) { return agent.identity.path == path; });
  REQUIRE(found != fleet.agents.end());
  return *found;
}

bool has_folder(const std::vector<WatchedFolder>& folders, const std::string& path) {
  return std::any_of(folders.begin(), folders.end(), [&](const WatchedFolder& folder) { return folder.path == path; });
}

/// Two agents that are known, each with a session.
struct Two {
  FakeHome home;
  std::string echo = home.add("echo");
  std::string scout = home.add("scout");
  std::unique_ptr<Discovery> discovery;

  Two() {
    home.write_registry();
    home.write_session(echo, "e1", "running");
    home.write_session(scout, "s1", "running");
    discovery = std::make_unique<Discovery>(home.options());
    const auto fleet = refresh();
    REQUIRE(agent_in(*fleet, echo).live_sessions.size() == 1);
    REQUIRE(agent_in(*fleet, scout).live_sessions.size() == 1);
  }
  ~Two() { answer(); }

  std::shared_ptr<const Fleet> refresh() { return discovery->refresh(Depth::changed, wall()); }
  /// Again and again, since a thread needs its time to come back; the fleet when the agent answers.
  std::shared_ptr<const Fleet> refresh_until_it_answers(const std::string& path) {
    for (;;) {
      auto fleet = refresh();
      if (!agent_in(*fleet, path).silent_since) return fleet;
    }
  }
};

}  // namespace

TEST_CASE("an agent whose folder hangs stays as it was known, and what it says when it answers is taken") {
  Two two;
  const auto place = GENERATE(as<std::string>{}, "/.instar/config.json", "/.instar/state/sessions/e1.json");
  set_hung(two.echo + place);
  two.home.write_session(two.echo, "e1", "completed");
  two.home.write_session(two.echo, "e2", "running");
  two.home.write_session(two.scout, "s2", "running");
  write_file(two.echo + "/.instar/config.json", R"({"developmentAgent":true,"port":4077})");
  const auto hung_fleet = two.refresh();
  const Agent& echo = agent_in(*hung_fleet, two.echo);
  CHECK(echo.state() == AgentState::unavailable);
  CHECK(echo.metered());
  CHECK(echo.reason.find("its folder cannot be read: the disk does not answer since 2") == 0);
  CHECK(echo.live_sessions.at(0).id == "e1");
  CHECK(agent_in(*hung_fleet, two.scout).live_sessions.size() == 2);
  CHECK(agent_in(*hung_fleet, two.scout).state() == AgentState::sampling);
  CHECK(has_folder(hung_fleet->silent, two.echo + "/.instar"));
  CHECK_FALSE(has_folder(hung_fleet->folders, two.echo + "/.instar"));
  CHECK(has_folder(hung_fleet->folders, two.scout + "/.instar"));

  // The others go on, and it is not touched.
  two.home.write_session(two.scout, "s3", "running");
  two.home.add("third");
  two.home.write_registry();
  const auto later = two.refresh();
  CHECK(later->agents.size() == 3);
  CHECK(agent_in(*later, two.scout).live_sessions.size() == 3);
  CHECK(agent_in(*later, two.echo).silent_since == echo.silent_since);
  CHECK(two.refresh() == later);

  answer();
  const auto well = two.refresh_until_it_answers(two.echo);
  CHECK(agent_in(*well, two.echo).state() == AgentState::sampling);
  REQUIRE(agent_in(*well, two.echo).live_sessions.size() == 1);
  CHECK(agent_in(*well, two.echo).live_sessions.at(0).id == "e2");
  CHECK(well->access.at(0).port == 4077);
  CHECK(well->silent.empty());
  CHECK(well->agents.size() == 3);
}

TEST_CASE("an agent that leaves while its folder hangs is gone, and comes back when that answers") {
  Two two;
  set_hung(two.echo + "/.instar/config.json");
  CHECK(agent_in(*two.refresh(), two.echo).silent_since);
  const auto entries = two.home.entries;
  two.home.entries.erase(two.home.entries.begin());
  two.home.write_registry();
  CHECK(two.refresh()->agents.size() == 1);
  two.home.entries = entries;
  two.home.write_registry();
  const auto fleet = two.refresh();
  CHECK(fleet->agents.size() == 1);
  REQUIRE(fleet->remarks.size() == 1);
  CHECK(fleet->remarks[0].find("the disk does not answer since 2") != std::string::npos);
  answer();
  while (two.refresh()->agents.size() < 2) {
  }
  CHECK(agent_in(*two.refresh(), two.echo).state() == AgentState::sampling);
}

TEST_CASE("with more disks that hang than can be waited for no watch is begun where none could be asked") {
  // Agents of one home, or homes: whatever hangs is asked for one after the other, in the order of the names.
  const bool whole_homes = GENERATE(false, true);
  std::vector<FakeHome> homes(whole_homes ? FolderReaders::kMostHanging + 2 : 1);
  DiscoveryOptions options = homes[0].options();
  options.config.homes.clear();
  if (!whole_homes) {
    for (std::size_t i = 0; i < FolderReaders::kMostHanging + 2; ++i) homes[0].add("agent" + std::to_string(i));
    homes[0].write_registry();
  }
  for (const FakeHome& home : homes) {
    if (whole_homes) write_file(home.registry(), R"({"version":1,"entries":[]})");
    options.config.homes.push_back(home.path());
  }
  Discovery discovery(options);
  set_hung(whole_homes ? "/registry.json" : "/config.json");
  const auto hung_fleet = discovery.refresh(Depth::changed, wall());
  // All that could be asked hang, and the last one could not be.
  CHECK(hung_fleet->folders.size() == (whole_homes ? 0 : 1));
  CHECK(hung_fleet->silent.size() >= FolderReaders::kMostHanging + 2);
  REQUIRE_FALSE(hung_fleet->remarks.empty());
  CHECK(std::any_of(hung_fleet->remarks.begin(), hung_fleet->remarks.end(), [](const std::string& remark) {
    return remark.find("folders do not answer: until one does no file is read") != std::string::npos;
  }));

  answer();
  auto well = discovery.refresh(Depth::told, wall());
  while (!well->silent.empty()) well = discovery.refresh(Depth::told, wall());
  CHECK(well->folders.size() >= FolderReaders::kMostHanging + 2);
  CHECK(well->remarks.empty());
  for (const WatchedFolder& folder : well->folders) {
    if (folder.holds == WatchedFolder::Holds::settings) CHECK(folder.which.exists());
  }
}

TEST_CASE("a home that hangs leaves its agents as they were known, and they are looked at") {
  Two two;
  set_hung("/registry.json");
  two.home.write_session(two.scout, "s2", "running");
  const auto fleet = two.refresh();
  CHECK(agent_in(*fleet, two.scout).live_sessions.size() == 2);
  CHECK(has_folder(fleet->silent, two.home.path() + "/.instar"));
  REQUIRE(fleet->remarks.size() == 1);
  CHECK(fleet->remarks[0].find("the disk does not answer since 2") != std::string::npos);
  two.home.add("third");
  two.home.write_registry();
  CHECK(two.refresh()->agents.size() == 2);
  answer();
  while (two.refresh()->agents.size() < 3) {
  }
  CHECK(two.refresh()->remarks.empty());
}
