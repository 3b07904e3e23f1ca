#pragma once

#include <memory>

#include "collector/runtime.h"

struct uv_loop_s;

namespace fleetledger {

/// A Runtime on a libuv loop. Its timers end with this object; jobs in the pool are not called back.
class LoopRuntime {
 public:
  explicit LoopRuntime(uv_loop_s* loop);
  ~LoopRuntime();
  LoopRuntime(const LoopRuntime&) = delete;
  LoopRuntime& operator=(const LoopRuntime&) = delete;

  [[nodiscard]] Runtime runtime();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fleetledger
