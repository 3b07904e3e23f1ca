#include <atomic>
#include <catch2/catch.hpp>
#include <unistd.h>
#include <uv.h>

#include "backends/backends.h"
#include "collector/discovery/safe_file.h"
#include "collector/discovery/watcher.h"
#include "collector/events/event_feed.h"
#include "collector/loop/loop_runtime.h"
#include "collector/store_lane.h"
#include "tests/collector/events/sentinel_home.h"
#include "tests/support/counted_calls.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

/// How often the log was opened since calls were counted last.
int log_opened() { return take_counted_calls().opened["sentinel-events.jsonl"]; }

std::int64_t now_ms() { return system_clock().wall().time_since_epoch().count(); }

/// An agent's log, tailed as the collector does it.
struct Tail {
  SentinelHome home;
  TestLoop loop;
  LoopRuntime runtime{loop.get()};
  std::unique_ptr<LedgerStore> store = *open_store("memory", {});
  StoreLane lane{*store, runtime.runtime(), system_clock(), [](const LedgerKey&, const StoreLane::Health&) {}};
  WatchedFolder folder{home.logs, WatchedFolder::Holds::logs, {}};
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
                  .skipped = [](const AgentIdentity&, const SkippedLines&) {},
                  .retention_now = [] { return system_clock().wall(); }},
                 runtime.runtime(),
                 system_clock(),
                 ::geteuid()};
  Watcher watcher{loop.get(), [this](const WatchedFolder& changed) { feed.log_changed(changed.path); }};

  Tail() {
    Fleet fleet;
    Agent agent;
    agent.identity = {"a", "a", home.agent.path()};
    fleet.agents.push_back(agent);
    identify(Folder::open(home.logs), folder.which);
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
  static_cast<void>(take_counted_calls());
  for (int tick = 0; tick < 1000; ++tick) {
    tail.check();
    uv_run(tail.loop.get(), UV_RUN_NOWAIT);
  }
  CHECK(take_counted_calls().all == 0);
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
    static_cast<void>(take_counted_calls());
    const int before = tail.readings;
    tail.check();
    tail.loop.await([&] { return tail.readings > before && !tail.feed.reading(); });
    CHECK(log_opened() == 0);
  }
  tail.say();
  tail.check();
  tail.await_recorded(2);
  CHECK(log_opened() == 1);
}
