#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/ledger_queries.h"
#include "core/sample.h"

namespace fleetledger {

/// Adds up the rows of a stretch of time, as LedgerStore::activity says.
class ActivityBuilder {
 public:
  ActivityBuilder(WallTime since, WallTime until) : since_(since), until_(until) {}

  /// A row with since < ts < until + kLongestRow, already clean, in any order.
  void add(const Sample& row);

  [[nodiscard]] std::vector<SourceActivity> sources() &&;

 private:
  WallTime since_;
  WallTime until_;
  std::map<std::string, SourceActivity> by_source_;
};

}  // namespace fleetledger
