#pragma once

#include <memory>

#include "collector/duration_histogram.h"

struct uv_loop_s;

namespace fleetledger {

/// Measures how long a loop does not look for events: the time from its return from a wait to its next one, in which it
/// runs callbacks. Whatever comes meanwhile, a request or a timer, waits at most that long. One value for each turn of
/// the loop, the first from the making of this object on; costs three readings of clocks and one more poll a turn.
/// Loop thread only.
class LoopLag {
 public:
  explicit LoopLag(uv_loop_s* loop);
  ~LoopLag();
  LoopLag(const LoopLag&) = delete;
  LoopLag& operator=(const LoopLag&) = delete;

  [[nodiscard]] const DurationHistogram& turns() const;
  /// Of the same turns the CPU time of the thread, which does not grow while it waits: where a turn took
  /// much longer than this it waited, for a core, a lock or the disk.
  [[nodiscard]] const DurationHistogram& work() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fleetledger
