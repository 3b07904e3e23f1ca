#include "collector/loop/loop_runtime.h"

#include <list>
#include <utility>
#include <uv.h>
#include <vector>

#include "collector/loop/handle.h"
#include "collector/loop/worker.h"

namespace fleetledger {

struct LoopRuntime::State : std::enable_shared_from_this<State> {
  struct Timer {
    UvHandle<uv_timer_t> handle;
    std::function<void()> then;
    State* owner = nullptr;
    std::list<Timer>::iterator self;
  };

  uv_loop_t* loop = nullptr;
  std::list<Timer> timers;

  /// What is to come in the loop's next turn, and what came to be so before its last look for events: that runs right
  /// after the look. A timer of no delay would not do: libuv runs one that a timer or an event has started before it
  /// looks again.
  std::vector<std::function<void()>> next_turn;
  std::vector<std::function<void()>> this_turn;
  UvHandle<uv_prepare_t> before_look;
  UvHandle<uv_check_t> after_look;
  UvHandle<uv_idle_t> no_wait;  ///< active: the loop looks for events without waiting for any

  explicit State(uv_loop_t* the_loop);
  void after(Micros delay, std::function<void()> then);
  void in_next_turn(std::function<void()> then);
  void take_turn();
};

LoopRuntime::State::State(uv_loop_t* the_loop) : loop(the_loop) {
  // None of these three can fail.
  before_look = make_handle<uv_prepare_t>([this](uv_prepare_t* handle) { return uv_prepare_init(loop, handle); });
  after_look = make_handle<uv_check_t>([this](uv_check_t* handle) { return uv_check_init(loop, handle); });
  no_wait = make_handle<uv_idle_t>([this](uv_idle_t* handle) { return uv_idle_init(loop, handle); });
  before_look->data = this;
  after_look->data = this;
}

void LoopRuntime::State::in_next_turn(std::function<void()> then) {
  next_turn.push_back(std::move(then));
  uv_prepare_start(before_look.get(), [](uv_prepare_t* handle) {
    auto* self = static_cast<State*>(handle->data);
    self->this_turn = std::exchange(self->next_turn, {});
  });
  uv_check_start(after_look.get(), [](uv_check_t* handle) { static_cast<State*>(handle->data)->take_turn(); });
  uv_idle_start(no_wait.get(), [](uv_idle_t*) {});
}

void LoopRuntime::State::take_turn() {
  const auto self = shared_from_this();  // what comes may end all that holds it
  for (const auto& then : std::exchange(this_turn, {})) {
    if (loop != nullptr) {
      then();
    }
  }
  if (loop != nullptr && next_turn.empty()) {
    uv_prepare_stop(before_look.get());
    uv_check_stop(after_look.get());
    uv_idle_stop(no_wait.get());
  }
}

void LoopRuntime::State::after(Micros delay, std::function<void()> then) {
  if (delay <= Micros{0}) {
    return in_next_turn(std::move(then));
  }
  auto handle = make_handle<uv_timer_t>([this](uv_timer_t* timer) { return uv_timer_init(loop, timer); });
  timers.push_front({std::move(handle), std::move(then), this, {}});
  auto& timer = timers.front();
  timer.self = timers.begin();
  timer.handle->data = &timer;
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(delay).count();
  uv_timer_start(
      timer.handle.get(),
      [](uv_timer_t* fired) {
        auto* entry = static_cast<Timer*>(fired->data);
        const auto next = std::move(entry->then);
        entry->owner->timers.erase(entry->self);
        next();
      },
      static_cast<std::uint64_t>(milliseconds), 0);
}

LoopRuntime::LoopRuntime(uv_loop_s* loop) : state_(std::make_shared<State>(loop)) {}

LoopRuntime::~LoopRuntime() {
  state_->before_look.reset();
  state_->after_look.reset();
  state_->no_wait.reset();
  // All out of lists of their own, one by one: what they hold may ask for another call as it goes.
  const auto next_turn = std::exchange(state_->next_turn, {});
  const auto this_turn = std::exchange(state_->this_turn, {});
  const auto timers = std::move(state_->timers);
  state_->loop = nullptr;
}

Runtime LoopRuntime::runtime() {
  return {
      [state = state_](std::function<void()> work, std::function<void()> done) {
        if (state->loop != nullptr) {
          run_in_pool(state->loop, std::move(work), std::move(done));
        }
      },
      [state = state_](Micros delay, std::function<void()> then) {
        if (state->loop != nullptr) {
          state->after(delay, std::move(then));
        }
      },
  };
}

}  // namespace fleetledger
