#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "backends/sqlite/ledger_place.h"
#include "core/result.h"
#include "core/sample.h"

namespace fleetledger {

/// An open ledger that can be written; its statements are prepared once. For one thread at a time.
class LedgerWriter {
 public:
  /// Makes what is missing of folder, file and schema.
  static Result<std::unique_ptr<LedgerWriter>> open(const LedgerPlace& place, std::chrono::milliseconds limit);
  LedgerWriter(const LedgerWriter&) = delete;
  LedgerWriter& operator=(const LedgerWriter&) = delete;
  ~LedgerWriter();

  /// The ledger was deleted or replaced since it was opened: what is written here would be lost.
  [[nodiscard]] bool moved() const;

  /// As LedgerStore::append and prune_older_than.
  Result<void> append(const AgentTick& tick);
  Result<std::int64_t> prune_older_than(WallTime cutoff);

 private:
  struct Parts;
  explicit LedgerWriter(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace fleetledger
