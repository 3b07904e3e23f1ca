#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <uv.h>
#include <vector>

#include "backends/backends.h"
#include "collector/clock.h"
#include "collector/loop/handle.h"
#include "collector/loop/loop_runtime.h"
#include "collector/store_lane.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using fleetledger::test::TestLoop;
using namespace std::chrono_literals;

namespace {

LedgerKey ledger(int agent) {
  const auto name = "agent-" + std::to_string(agent);
  return {{name, name, "/" + name}, LedgerLocation::agent};
}

AgentTick tick(int number) {
  AgentTick made;
  auto& sample = made.samples.emplace_back();
  sample.ts = WallTime{std::chrono::milliseconds{number}};
  sample.source = kServerSource;
  return made;
}

}  // namespace

TEST_CASE("fifty agents' ticks go through the pool to their ledgers while they are read") {
  TestLoop loop;
  const auto store = *open_store("memory", {});
  LoopRuntime runtime(loop.get());
  StoreLane lane(*store, runtime.runtime(), system_clock(), [](const LedgerKey&, const StoreLane::Health&) {});
  for (int number = 1; number <= 10; ++number) {
    for (int agent = 0; agent < 50; ++agent) {
      lane.append(ledger(agent), tick(number));
    }
  }
  std::size_t read = 0;
  const auto runtime_functions = runtime.runtime();
  for (int agent = 0; agent < 50; ++agent) {
    const auto rows = std::make_shared<std::int64_t>(0);
    runtime_functions.in_pool([&store, agent, rows] { *rows = store->sample_count(ledger(agent)).value_or(-1); },
                              [rows, &read] { read += *rows >= 0 ? 1U : 0U; });
  }
  bool drained = false;
  lane.drain([&] { drained = true; });
  loop.await([&] { return drained; });
  for (int agent = 0; agent < 50; ++agent) {
    CHECK(*store->sample_count(ledger(agent)) == 10);
  }
  loop.await([&] { return read == 50; });
}

TEST_CASE("what is left to the loop's next turn comes after what waits for this one, each piece in a turn of its own") {
  TestLoop loop;
  std::vector<std::string> heard;
  LoopRuntime runtime(loop.get());
  const auto after = runtime.runtime().after;
  const auto event = make_handle<uv_async_t>([&](uv_async_t* handle) {
    return uv_async_init(loop.get(), handle, [](uv_async_t* sent) {
      static_cast<std::vector<std::string>*>(sent->data)->emplace_back("event");
    });
  });
  event->data = &heard;
  const auto piece = [&](const std::string& name) {
    heard.push_back(name);
    uv_async_send(event.get());
  };
  const auto begin = [&] {
    piece("begun");
    after(0ms, [&] {
      piece("first");
      after(0ms, [&] { heard.emplace_back("second"); });
    });
  };
  const std::vector<std::string> in_turn{"begun", "event", "first", "event", "second"};

  SECTION("begun by a timer") { after(1ms, begin); }
  SECTION("begun by an event") {
    runtime.runtime().in_pool([] {}, begin);
  }
  loop.await([&] { return heard.size() >= in_turn.size(); });
  CHECK(heard == in_turn);
}

TEST_CASE("what is left to a turn does not come once the runtime is gone, and may ask for another as it goes") {
  TestLoop loop;
  auto runtime = std::make_unique<LoopRuntime>(loop.get());
  const auto after = runtime->runtime().after;
  bool came = false;
  const auto asks_as_it_goes = std::shared_ptr<int>(new int, [&](int* held) {
    after(0ms, [&] { came = true; });
    delete held;
  });
  after(0ms, [&] { runtime.reset(); });
  after(0ms, [&came, held = asks_as_it_goes] { came = true; });
  loop.await([&] { return runtime == nullptr; });
  bool passed = false;
  LoopRuntime other(loop.get());
  other.runtime().after(0ms, [&] { other.runtime().after(0ms, [&] { passed = true; }); });
  loop.await([&] { return passed; });
  CHECK_FALSE(came);
}

TEST_CASE("timers fire in their order, and not at all once the runtime is gone") {
  TestLoop loop;
  std::vector<int> fired;
  auto runtime = std::make_unique<LoopRuntime>(loop.get());
  const auto after = runtime->runtime().after;
  after(2ms, [&] {
    fired.push_back(2);
    after(0ms, [&] {
      fired.push_back(20);
      runtime.reset();
    });
  });
  after(1ms, [&] { fired.push_back(1); });
  after(1h, [&] { fired.push_back(3); });
  uv_run(loop.get(), UV_RUN_DEFAULT);
  CHECK(fired == std::vector<int>{1, 2, 20});
  after(0ms, [&] { fired.push_back(4); });
  uv_run(loop.get(), UV_RUN_DEFAULT);
  CHECK(fired.size() == 3);
}
