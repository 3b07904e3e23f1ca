#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/clock.h"
#include "collector/heap_question.h"
#include "collector/runtime.h"

namespace fleetledger {

/// The newest answers of agents' servers to "how large is your heap". They are asked in the pool, so many at a time
/// that servers which hang leave it to others; one that does not answer is asked less and less often, until another
/// server, port or token is to be asked. One thread.
class Heaps {
 public:
  static constexpr std::size_t kAtOnce = 4;
  static constexpr unsigned kMostSkipped = 63;

  /// Called in the pool.
  using Ask = std::function<Result<Bytes>(const HeapQuestion&)>;

  Heaps(Ask ask, Runtime runtime, const Clock& clock);
  ~Heaps();
  Heaps(const Heaps&) = delete;
  Heaps& operator=(const Heaps&) = delete;

  struct Candidate {
    HeapQuestion question;
    bool due = false;  ///< to be asked now
  };
  /// All agents that can be asked; what is known of others is forgotten. Returns at once.
  void ask(const std::vector<Candidate>& candidates);

  /// What this server of this agent has answered last, if that came after `since`.
  [[nodiscard]] std::optional<Bytes> newest(const std::string& agent, const ProcessKey& server,
                                            MonotonicTime since) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fleetledger
