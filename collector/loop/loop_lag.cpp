#include "collector/loop/loop_lag.h"

#include <ctime>
#include <uv.h>

#include "collector/loop/handle.h"

namespace fleetledger {

using std::chrono::milliseconds;

namespace {

DurationHistogram no_turns() {
  return {std::chrono::microseconds{100},
          std::chrono::microseconds{250},
          std::chrono::microseconds{500},
          milliseconds{1},
          milliseconds{2},
          milliseconds{5},
          milliseconds{10},
          milliseconds{20},
          milliseconds{50},
          milliseconds{100},
          milliseconds{500},
          milliseconds{2000}};
}

/// Of the calling thread since its start, in ns.
std::uint64_t thread_cpu() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

struct LoopLag::State {
  /// Up to now, for as long as the loop runs.
  struct Times {
    std::uint64_t all;
    std::uint64_t waiting;
    std::uint64_t cpu;
  };

  DurationHistogram turns = no_turns();
  DurationHistogram work = no_turns();
  Times before{};
  UvHandle<uv_prepare_t> handle;

  void before_wait(uv_loop_t* loop) {
    const Times now{uv_hrtime(), uv_metrics_idle_time(loop), thread_cpu()};
    const auto all = now.all - before.all;
    const auto waiting = now.waiting - before.waiting;
    turns.add(DurationHistogram::Duration{all > waiting ? all - waiting : 0});
    work.add(DurationHistogram::Duration{now.cpu - before.cpu});
    before = now;
  }
};

LoopLag::LoopLag(uv_loop_s* loop) : state_(std::make_unique<State>()) {
  uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
  state_->before = {uv_hrtime(), 0, thread_cpu()};
  state_->handle = make_handle<uv_prepare_t>([loop](uv_prepare_t* prepare) { return uv_prepare_init(loop, prepare); });
  if (!state_->handle) {
    return;
  }
  state_->handle->data = state_.get();
  uv_prepare_start(state_->handle.get(),
                   [](uv_prepare_t* prepare) { static_cast<State*>(prepare->data)->before_wait(prepare->loop); });
  uv_unref(reinterpret_cast<uv_handle_t*>(state_->handle.get()));
}

LoopLag::~LoopLag() = default;

const DurationHistogram& LoopLag::turns() const { return state_->turns; }
const DurationHistogram& LoopLag::work() const { return state_->work; }

}  // namespace fleetledger
