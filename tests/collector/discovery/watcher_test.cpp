#include "collector/discovery/watcher.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <uv.h>

#include "collector/discovery/safe_file.h"
#include "tests/collector/discovery/fake_home.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

constexpr auto kSettings = WatchedFolder::Holds::settings;
constexpr auto kSessions = WatchedFolder::Holds::sessions;
constexpr auto kLogs = WatchedFolder::Holds::logs;

FolderIdentity which(const std::string& path) {
  FolderIdentity found;
  identify(Folder::open(path), found);
  return found;
}
// The folder of this name, as it is now.
WatchedFolder settings_in(const std::string& path) { return {path, kSettings, which(path)}; }
WatchedFolder sessions_in(const std::string& path) { return {path, kSessions, which(path)}; }
WatchedFolder logs_in(const std::string& path) { return {path, kLogs, which(path)}; }

/// A loop, and a watcher on it that remembers what it was told.
class WatcherTest {
 public:
  std::multiset<std::string> changed;
  TempDir folder;

  explicit WatcherTest(std::size_t most = Watcher::kMostFolders) {
    REQUIRE(uv_loop_init(&loop_) == 0);
    watcher_ = std::make_unique<Watcher>(
        &loop_, [this](const WatchedFolder& told) { changed.insert(told.path); }, most);
  }
  WatcherTest(const WatcherTest&) = delete;
  WatcherTest& operator=(const WatcherTest&) = delete;
  ~WatcherTest() {
    watcher_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop_) == 0);
  }

  Watcher& watcher() { return *watcher_; }

  /// Watches, and forgets what is told at once of folders that are new to it.
  void watch(const std::vector<WatchedFolder>& folders) {
    watcher_->watch(folders);
    changed.clear();
  }

  /// Runs until this folder is told; what was told until then, which is then forgotten.
  std::multiset<std::string> wait_for(const std::string& path) {
    while (changed.count(path) == 0) uv_run(&loop_, UV_RUN_ONCE);
    return std::exchange(changed, {});
  }
  /// All events that the kernel has by now.
  void drain() { uv_run(&loop_, UV_RUN_NOWAIT); }

  std::string make_folder(const std::string& name) {
    std::filesystem::create_directories(folder / name);
    return folder / name;
  }

 private:
  uv_loop_t loop_{};
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace

TEST_CASE("a registry replaced by a rename, a config and a session rewritten in place are told") {
  WatcherTest test;
  const std::string home = test.make_folder("home");
  const std::string sessions = test.make_folder("sessions");
  write_file(home + "/config.json", "{}");
  write_file(sessions + "/a.json", "{}");
  test.watch({settings_in(home), sessions_in(sessions)});
  CHECK(test.watcher().watching() == 2);
  CHECK_FALSE(test.watcher().remark());

  write_file(home + "/registry.tmp", "{}");
  std::filesystem::rename(home + "/registry.tmp", home + "/registry.json");
  test.wait_for(home);
  test.drain();
  test.changed.clear();
  write_file(home + "/config.json", "{ }");
  test.wait_for(home);
  write_file(sessions + "/a.json", "{ }");
  test.wait_for(sessions);
  test.drain();
  test.changed.clear();
  write_file(sessions + "/b.json", "{}");
  test.wait_for(sessions);
  test.drain();
  test.changed.clear();
  std::filesystem::remove(sessions + "/b.json");
  test.wait_for(sessions);
}

TEST_CASE("what changed in a folder before it was watched is told, once") {
  WatcherTest test;
  const std::string one = test.make_folder("one");
  const std::string two = test.make_folder("two");
  test.watcher().watch({sessions_in(one), sessions_in(test.folder / "missing")});
  CHECK(test.changed == std::multiset<std::string>{one});
  test.watcher().watch({sessions_in(one), sessions_in(two)});
  CHECK(test.changed == std::multiset<std::string>{one, two});
}

TEST_CASE("other files in a watched folder are not told") {
  WatcherTest test;
  const std::string home = test.make_folder("home");
  const std::string sessions = test.make_folder("sessions");
  const std::string last = test.make_folder("last");
  test.watch({settings_in(home), sessions_in(sessions), sessions_in(last)});
  write_file(home + "/noise.json", "{}");
  write_file(sessions + "/noise.txt", "{}");
  std::filesystem::create_directory(home + "/server-data");
  write_file(last + "/a.json", "{}");  // events come in order: with this one all others have come
  const auto told = test.wait_for(last);
  CHECK(told.count(home) == 0);
  CHECK(told.count(sessions) == 0);
}

TEST_CASE("a log of sentinels and its rotation are told, other logs are not") {
  WatcherTest test;
  const std::string logs = test.make_folder("logs");
  const std::string last = test.make_folder("last");
  const WatchedFolder folder = logs_in(logs);
  CHECK_FALSE(test.watcher().is_watching(folder));
  test.watch({folder, sessions_in(last)});
  CHECK(test.watcher().is_watching(folder));
  CHECK_FALSE(test.watcher().is_watching(sessions_in(logs)));
  write_file(logs + "/sentinel-events.jsonl", "{}");
  test.wait_for(logs);
  test.drain();
  test.changed.clear();
  std::filesystem::rename(logs + "/sentinel-events.jsonl", logs + "/sentinel-events.jsonl.1");
  test.wait_for(logs);
  test.drain();
  test.changed.clear();
  write_file(logs + "/server.log", "x");
  write_file(last + "/a.json", "{}");
  CHECK(test.wait_for(last).count(logs) == 0);
  std::filesystem::remove_all(logs);
  test.wait_for(logs);
  test.drain();
  CHECK_FALSE(test.watcher().is_watching(folder));
}

TEST_CASE("a folder that appears later is watched once it is named with what it is") {
  WatcherTest test;
  const std::string late = test.folder / "late";
  test.watch({sessions_in(late)});
  CHECK(test.watcher().watching() == 0);
  CHECK_FALSE(test.watcher().remark());
  test.make_folder("late");
  test.watch({{late, kSessions}});  // not looked at yet: its disk may not answer
  CHECK(test.watcher().watching() == 0);
  test.watch({sessions_in(late)});
  CHECK(test.watcher().watching() == 1);
  write_file(late + "/a.json", "{}");
  test.wait_for(late);
}

TEST_CASE("a folder that was removed and made again is told and watched again") {
  WatcherTest test;
  const std::string path = test.make_folder("sessions");
  const std::vector<WatchedFolder> folders{sessions_in(path)};
  test.watch(folders);
  std::filesystem::remove_all(path);
  test.wait_for(path);
  test.drain();
  CHECK(test.watcher().watching() == 0);
  CHECK_FALSE(test.watcher().settled());
  test.make_folder("sessions");
  test.watch(folders);
  CHECK(test.watcher().settled());
  CHECK(test.watcher().watching() == 1);
  test.changed.clear();
  write_file(path + "/a.json", "{}");
  test.wait_for(path);
}

TEST_CASE("a folder in whose place another one was moved, with all that is above it, is watched when it is named so") {
  for (const auto holds : {kSettings, kSessions, kLogs}) {
    WatcherTest test;
    const std::string path = test.make_folder("agent/folder");
    const std::string file = holds == kSettings   ? "/config.json"
                             : holds == kSessions ? "/a.json"
                                                  : "/sentinel-events.jsonl";
    test.watch({{path, holds, which(path)}});
    std::filesystem::rename(test.folder / "agent", test.folder / "agent.old");
    test.make_folder("agent/folder");
    test.watch({{path, holds, which(path)}});
    CHECK(test.watcher().watching() == 1);
    CHECK(test.watcher().tells_all(path, holds));
    write_file(test.folder / "agent.old/folder" + file, "{}");
    test.drain();
    CHECK(test.changed.empty());
    write_file(path + file, "{}");
    test.wait_for(path);
  }
}

TEST_CASE("a folder of another disk with the same number is another folder") {
  WatcherTest test;
  WatchedFolder folder = sessions_in(test.make_folder("sessions"));
  test.watch({folder});
  ++folder.which.device;
  CHECK_FALSE(test.watcher().is_watching(folder));
  test.watcher().watch({folder});
  CHECK(test.changed == std::multiset<std::string>{folder.path});
}

TEST_CASE("a folder on another host's disk is watched, but not all that changes there is told") {
  WatcherTest test;
  WatchedFolder folder = sessions_in(test.make_folder("sessions"));
  for (const bool local : {true, false}) {
    folder.which.local = local;
    CHECK_FALSE(test.watcher().tells_all(folder));
    test.watch({folder});
    CHECK(test.watcher().is_watching(folder));
    CHECK(test.watcher().tells_all(folder) == local);
    CHECK(test.watcher().tells_all(folder.path, kSessions) == local);
    CHECK_FALSE(test.watcher().tells_all(folder.path, kLogs));
  }
}

TEST_CASE("a folder that is no longer handed in is no longer watched") {
  WatcherTest test;
  const std::string one = test.make_folder("one");
  const std::string two = test.make_folder("two");
  test.watch({sessions_in(one), sessions_in(two)});
  test.watch({sessions_in(two)});
  CHECK(test.watcher().watching() == 1);
  write_file(one + "/a.json", "{}");
  write_file(two + "/a.json", "{}");
  CHECK(test.wait_for(two).count(one) == 0);
}

TEST_CASE("hundreds of new folders are begun over several turns of the loop, and each is told once") {
  WatcherTest test;
  std::vector<WatchedFolder> folders;
  for (int i = 0; i < 300; ++i) folders.push_back(sessions_in(test.make_folder(std::to_string(i))));
  test.watcher().watch(folders);
  const auto at_once = test.watcher().watching();
  CHECK(at_once > 0);
  CHECK(at_once < 100);
  CHECK_FALSE(test.watcher().settled());
  while (test.watcher().watching() < folders.size()) test.drain();
  CHECK(test.watcher().settled());
  CHECK(test.changed.size() == folders.size());
  CHECK(std::set<std::string>(test.changed.begin(), test.changed.end()).size() == folders.size());
  test.changed.clear();
  write_file(folders.back().path + "/a.json", "{}");
  test.wait_for(folders.back().path);

  // Asked again meanwhile: those of before that are not wanted any more are not begun.
  WatcherTest other;
  other.watcher().watch(folders);
  other.watch({folders.front()});
  other.drain();
  CHECK(other.watcher().watching() == 1);
  CHECK(other.changed.empty());
}

TEST_CASE("more folders than allowed are left to the looks, and a remark says so") {
  WatcherTest test(2);
  std::vector<WatchedFolder> folders;
  for (const char* name : {"a", "b", "c"}) folders.push_back(sessions_in(test.make_folder(name)));
  test.watch(folders);
  CHECK(test.watcher().watching() == 2);
  REQUIRE(test.watcher().remark());
  CHECK_THAT(*test.watcher().remark(), Catch::Contains("more than 2 folders"));
  CHECK_FALSE(test.watcher().settled());
  folders.pop_back();
  test.watch(folders);
  CHECK_FALSE(test.watcher().remark());
}

TEST_CASE("why watches are missing stayed unsaid where it showed among the later ones of many") {
  WatcherTest test(100);
  std::vector<WatchedFolder> folders;
  for (int i = 0; i < 200; ++i) folders.push_back(sessions_in(test.make_folder(std::to_string(i))));
  test.watcher().watch(folders);
  while (!test.watcher().remark()) test.drain();
  // Asked again, the first ones go well at first.
  std::swap(folders.front(), folders.back());
  test.watcher().watch(folders);
  REQUIRE(test.watcher().remark());
  CHECK_THAT(*test.watcher().remark(), Catch::Contains("more than 100 folders"));
}

TEST_CASE("a watch that was lost or could not be had was begun anew on the loop though nobody had asked the disk") {
  WatcherTest test(2);
  const std::string lost = test.make_folder("lost");
  const std::vector<WatchedFolder> folders{sessions_in(test.make_folder("a")), sessions_in(lost)};
  test.watch(folders);
  std::filesystem::remove_all(lost);
  test.wait_for(lost);
  test.make_folder("lost");
  test.watcher().watch(folders, {}, /*retry=*/false);
  CHECK_FALSE(test.watcher().is_watching(folders[1]));
  test.watcher().watch(folders, {}, /*retry=*/true);
  CHECK(test.watcher().is_watching(folders[1]));

  // One that cannot be watched: what is there is no folder that can be opened.
  const WatchedFolder closed{test.folder / "none", kSessions, {1, 1, true}};
  const std::vector<WatchedFolder> with_closed{folders[0], closed};
  test.watch(with_closed);
  test.make_folder("none");
  test.watcher().watch(with_closed, {}, /*retry=*/false);
  CHECK_FALSE(test.watcher().is_watching(closed));
  CHECK_FALSE(test.watcher().settled());
  test.watcher().watch(with_closed, {}, /*retry=*/true);
  CHECK(test.watcher().is_watching(closed));
}
