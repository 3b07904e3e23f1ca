#include "collector/loop/loop_runtime.h"

#include <list>
#include <utility>
#include <uv.h>

#include "collector/loop/handle.h"
#include "collector/loop/worker.h"

namespace fleetledger {

struct LoopRuntime::State {
  struct Timer {
    UvHandle<uv_timer_t> handle;
    std::function<void()> then;
    State* owner = nullptr;
    std::list<Timer>::iterator self;
  };

  uv_loop_t* loop = nullptr;
  std::list<Timer> timers;

  void after(Micros delay, std::function<void()> then);
};

void LoopRuntime::State::after(Micros delay, std::function<void()> then) {
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
      static_cast<std::uint64_t>(milliseconds < 0 ? 0 : milliseconds), 0);
}

LoopRuntime::LoopRuntime(uv_loop_s* loop) : state_(std::make_shared<State>()) { state_->loop = loop; }

LoopRuntime::~LoopRuntime() {
  // First the timers, one by one out of a list of their own: what they hold may ask for another timer as it goes.
  auto timers = std::move(state_->timers);
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
