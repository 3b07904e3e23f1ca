#include <atomic>
#include <catch2/catch.hpp>
#include <cstdarg>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "backends/backends.h"
#include "collector/discovery/safe_file.h"
#include "collector/discovery/watcher.h"
#include "collector/events/event_feed.h"
#include "collector/loop/loop_runtime.h"
#include "collector/store_lane.h"
#include "tests/collector/events/sentinel_home.h"
#include "tests/support/test_loop.h"

// What a tail costs is counted where it leaves the program: these stand before the C library's own.

namespace {

struct Calls {
  std::atomic<int> all = 0;
  std::atomic<int> log_opened = 0;
};

Calls calls;

bool is_log(const char* name) { return std::string_view(name).ends_with("sentinel-events.jsonl"); }

}  // namespace

extern "C" int open(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  ++calls.all;
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, name, flags, mode));
}

extern "C" int openat(int folder, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  ++calls.all;
  if (is_log(name)) ++calls.log_opened;
  return static_cast<int>(syscall(SYS_openat, folder, name, flags, mode));
}

extern "C" int fstatat(int folder, const char* name, struct stat* status, int flags) noexcept {
  ++calls.all;
  return static_cast<int>(syscall(SYS_newfstatat, folder, name, status, flags));
}

extern "C" ssize_t pread(int file, void* into, size_t size, off_t offset) {
  ++calls.all;
  return syscall(SYS_pread64, file, into, size, offset);
}

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

std::int64_t now_ms() { return system_clock().wall().time_since_epoch().count(); }

/// An agent's log, tailed as the collector does it.
struct Tail {
  SentinelHome home;
  TestLoop loop;
  LoopRuntime runtime{loop.get()};
  std::unique_ptr<LedgerStore> store = *open_store("memory", {});
  StoreLane lane{*store, runtime.runtime(), system_clock(), [](const LedgerKey&, const StoreLane::Health&) {}};
  WatchedFolder folder{home.logs, WatchedFolder::Holds::logs, identify(Folder::open(home.logs))};
  std::size_t recorded = 0;
  std::atomic<int> readings = 0;
  bool watched = true;
  EventFeed feed{{*store,
                  [this](const LogQuestion& question) {
                    ++readings;
                    return read_sentinel_log(question);
                  },
                  [this](const std::string&) { return watched && watcher.is_watching(folder); }},
                 {.hand_over = [this](const LedgerKey& ledger, AgentTick tick,
                                      auto written) { lane.append(ledger, std::move(tick), std::move(written)); },
                  .recorded = [this](const AgentIdentity&, const auto& events) { recorded += events.size(); },
                  .skipped = [](const AgentIdentity&, const SkippedLines&) {}},
                 runtime.runtime(),
                 system_clock(),
                 ::geteuid()};
  Watcher watcher{loop.get(), [this](const WatchedFolder& changed) { feed.log_changed(changed.path); }};

  Tail() {
    Fleet fleet;
    Agent agent;
    agent.identity = {"a", "a", home.agent.path()};
    fleet.agents.push_back(agent);
    watcher.watch({folder});
    feed.adopt(fleet);
  }
  void say() { home.append(line_of(now_ms(), "x")); }
  void check() {
    feed.check(false, [](const std::string&) { return std::string(); });
  }
  void await_recorded(std::size_t count) {
    loop.await([&] { return recorded >= count && !feed.reading() && lane.idle(); });
    CHECK(recorded == count);
  }
};

}  // namespace

TEST_CASE("a log that is watched costs nothing while nothing is written to it, however often it is checked") {
  Tail tail;
  tail.say();
  tail.await_recorded(1);
  tail.say();
  tail.await_recorded(2);  // told by the watch, with no check
  // What the watch told of the last line may lead to one more look.
  int readings = 0;
  bool quiet = false;
  while (!quiet) {
    readings = tail.readings;
    bool waited = false;
    tail.runtime.runtime().after(EventFeed::kBetween + EventFeed::kSettle, [&] { waited = true; });
    tail.loop.await([&] { return waited && !tail.feed.reading(); });
    quiet = readings == tail.readings;
  }
  calls.all = 0;
  for (int tick = 0; tick < 1000; ++tick) {
    tail.check();
    uv_run(tail.loop.get(), UV_RUN_NOWAIT);
  }
  CHECK(calls.all == 0);
  CHECK(tail.readings == readings);
  tail.say();
  tail.await_recorded(3);
}

TEST_CASE("a log that nobody watches is looked at, and opened only when something was written") {
  Tail tail;
  tail.watched = false;
  tail.watcher.watch({});
  tail.say();
  tail.check();
  tail.await_recorded(1);
  for (int tick = 0; tick < 2; ++tick) {
    calls.log_opened = 0;
    const int before = tail.readings;
    tail.check();
    tail.loop.await([&] { return tail.readings > before && !tail.feed.reading(); });
    CHECK(calls.log_opened == 0);
  }
  tail.say();
  tail.check();
  tail.await_recorded(2);
  CHECK(calls.log_opened == 1);
}
