#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "backends/sqlite/ledger_place.h"
#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

class LedgerWriter;

/// Decides which of its two places has an agent's samples. With `automatic` that is the agent's own file until its own
/// sampler shows there, and then the central file for good: what we had written is copied to it, then a mark is set in
/// it, and from the mark on samples are written and read there only. Nothing is deleted in the agent's file, and before
/// the mark nothing has changed for anybody, so that a move that was broken off is simply made again. Any thread.
class LedgerHomes {
 public:
  struct Home {
    LedgerPlace place;
    bool shared = false;                    ///< the agent's own file: its sampler may write there too
    std::optional<WallTime> central_since;  ///< the mark; only with `automatic`
  };

  LedgerHomes(std::string central_directory, std::chrono::milliseconds limit)
      : central_directory_(std::move(central_directory)), limit_(limit) {}

  /// Where the agent's samples are now.
  [[nodiscard]] Result<Home> find(const LedgerKey& ledger);

  /// Moves them. `central` is open at the central place.
  [[nodiscard]] Result<Home> move(const LedgerKey& ledger, LedgerWriter& central, WallTime now);

  /// An agent is gone: what was seen of it is looked for again if it comes back.
  void forget(const std::string& agent_id);
  /// Agents whose mark is remembered.
  [[nodiscard]] std::size_t remembered();

  [[nodiscard]] LedgerPlace central(const AgentIdentity& agent) const {
    return central_place(agent, central_directory_);
  }

 private:
  const std::string central_directory_;
  const std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::map<std::string, WallTime> moved_;  ///< the marks that were seen, by agent id
};

}  // namespace fleetledger
