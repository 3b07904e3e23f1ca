#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <stdexcept>
#include <uv.h>

namespace fleetledger::test {

/// A loop for one test. Declared before what uses it; it ends when all of its handles are closed, and the test fails if
/// one is left open.
class TestLoop {
 public:
  TestLoop() { REQUIRE(uv_loop_init(&loop_) == 0); }
  ~TestLoop() {
    uv_run(&loop_, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop_) == 0);
  }
  TestLoop(const TestLoop&) = delete;
  TestLoop& operator=(const TestLoop&) = delete;

  [[nodiscard]] uv_loop_t* get() { return &loop_; }

  /// Runs until the condition holds. Throws if the loop has nothing left that could make it hold.
  void await(const std::function<bool()>& condition) {
    while (!condition()) {
      if (uv_run(&loop_, UV_RUN_ONCE) == 0 && !condition()) {
        throw std::runtime_error("the loop ended before the condition held");
      }
    }
  }

 private:
  uv_loop_t loop_{};
};

}  // namespace fleetledger::test
