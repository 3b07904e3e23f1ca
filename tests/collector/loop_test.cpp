#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <uv.h>
#include <vector>

#include "backends/backends.h"
#include "collector/clock.h"
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
