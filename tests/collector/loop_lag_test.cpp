#include "collector/loop/loop_lag.h"

#include <catch2/catch.hpp>
#include <ctime>
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

TEST_CASE("the loop's work is the CPU time of its turns: neither what they wait nor what other threads use") {
  TestLoop loop;
  LoopRuntime runtime(loop.get());
  const auto cpu_now = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
  };
  const auto use = [&](std::chrono::nanoseconds time) {
    for (const auto end = cpu_now() + time; cpu_now() < end;) {
    }
  };
  const auto begun = cpu_now();
  const LoopLag lag(loop.get());
  bool over = false;
  runtime.runtime().after(1ms, [&] {
    use(60ms);
    std::thread([&] { use(60ms); }).join();
    std::this_thread::sleep_for(60ms);  // is what is not measured
    runtime.runtime().after(1ms, [&] { over = true; });
  });
  loop.await([&] { return over; });
  CHECK(turns_above(lag.work(), 50ms) == 1);
  CHECK(lag.work().sum() >= 60ms);
  CHECK(lag.work().sum() <= cpu_now() - begun);
}
