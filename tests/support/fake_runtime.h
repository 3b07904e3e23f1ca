#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "collector/clock.h"
#include "collector/runtime.h"

namespace fleetledger::test {

/// A clock that stands still until the test moves it.
class FakeClock final : public Clock {
 public:
  WallTime wall_now{std::chrono::hours{24 * 365 * 50}};
  mutable MonotonicTime monotonic_now{std::chrono::hours{1}};
  Micros each_reading{0};  ///< by which it goes on whenever it is read: all work takes time

  [[nodiscard]] WallTime wall() const override { return wall_now; }
  [[nodiscard]] MonotonicTime monotonic() const override { return monotonic_now += each_reading; }
};

/// A Runtime without a loop: jobs and timers happen when the test says so. Everything is on the test's thread.
class FakeRuntime {
 public:
  explicit FakeRuntime(FakeClock& clock) : clock_(clock) {}

  [[nodiscard]] Runtime runtime() {
    return {[this](std::function<void()> work, std::function<void()> done) {
              jobs.push_back({std::move(work), std::move(done)});
            },
            [this](Micros delay, std::function<void()> then) {
              timers_.push_back({clock_.monotonic_now + delay, std::move(then)});
            }};
  }

  struct Job {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::deque<Job> jobs;  ///< asked for and not begun

  /// Runs the job that stands at this place in the queue.
  void run_job(std::size_t at = 0) {
    auto job = std::move(jobs.at(at));
    jobs.erase(jobs.begin() + static_cast<std::ptrdiff_t>(at));
    job.work();
    job.done();
  }
  /// All jobs, and what is to come in the loop's next turns, until there is nothing left of either.
  void run_jobs() {
    do {
      while (!jobs.empty()) {
        run_job();
      }
      next_turn();
    } while (!jobs.empty());
  }

  /// What is to come in the loop's next turn, and in those after it as long as no time goes by.
  void next_turn() { advance(Micros{0}); }

  /// Moves both clocks on and runs the timers that come due, each at its time; jobs are left to the test.
  void advance(Micros by) {
    const auto until = clock_.monotonic_now + by;
    for (;;) {
      const auto next = std::min_element(timers_.begin(), timers_.end(),
                                         [](const Timer& left, const Timer& right) { return left.at < right.at; });
      if (next == timers_.end() || next->at > until) {
        break;
      }
      auto then = std::move(next->then);
      move_to(std::max(next->at, clock_.monotonic_now));
      timers_.erase(next);
      then();
    }
    move_to(std::max(until, clock_.monotonic_now));
  }

 private:
  struct Timer {
    MonotonicTime at;
    std::function<void()> then;
  };

  void move_to(MonotonicTime moment) {
    clock_.wall_now += std::chrono::duration_cast<std::chrono::milliseconds>(moment - clock_.monotonic_now);
    clock_.monotonic_now = moment;
  }

  FakeClock& clock_;
  std::vector<Timer> timers_;
};

}  // namespace fleetledger::test
