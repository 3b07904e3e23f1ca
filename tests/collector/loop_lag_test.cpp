#include "collector/loop/loop_lag.h"

#include <catch2/catch.hpp>
#include <thread>

#include "collector/loop/loop_runtime.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

std::uint64_t turns_above(const DurationHistogram& histogram, DurationHistogram::Duration bound) {
  std::uint64_t above = histogram.counts().back();
  for (std::size_t range = 0; range < histogram.bounds().size(); ++range) {
    above += histogram.bounds()[range] > bound ? histogram.counts()[range] : 0;
  }
  return above;
}

}  // namespace

TEST_CASE("a callback that blocks the loop shows, and waiting for the next one does not") {
  TestLoop loop;
  LoopRuntime runtime(loop.get());
  const LoopLag lag(loop.get());
  const auto after = runtime.runtime().after;
  const auto begun = std::chrono::steady_clock::now();
  bool over = false;
  int left = 3;
  std::function<void()> next = [&] {
    std::this_thread::sleep_for(60ms);  // is what is measured
    if (--left > 0) {
      after(1ms, next);
    } else {
      after(1ms, [&] { after(300ms, [&] { over = true; }); });  // counted from the next turn on, so all of it is a wait
    }
  };
  after(1ms, next);
  loop.await([&] { return over; });
  const auto all = std::chrono::steady_clock::now() - begun;
  CHECK(turns_above(lag.turns(), 50ms) >= 1);  // a timer that is due already runs in the turn of the one before
  CHECK(lag.turns().sum() >= 180ms);
  CHECK(lag.turns().sum() <= all - 200ms);
}
