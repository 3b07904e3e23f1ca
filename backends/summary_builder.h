#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/rollup.h"
#include "core/ledger_queries.h"

namespace fleetledger {

/// Adds up the rows and rollups of a window by source.
class SummaryBuilder {
 public:
  void add(const Sample& row, Micros guess);
  void add(const Rollup& rollup);

  /// The sources as LedgerSummary has them.
  [[nodiscard]] std::vector<SourceSummary> sources() const;

  /// The first moment at which something leaves the window when its beginning moves on; nothing: it is empty.
  [[nodiscard]] std::optional<WallTime> first_to_leave() const { return first_; }

 private:
  void leaves(WallTime ts) { first_ = first_ && *first_ < ts ? *first_ : ts; }

  std::unordered_map<std::string, Tally> by_source_;
  std::optional<WallTime> first_;
};

}  // namespace fleetledger
