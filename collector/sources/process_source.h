#pragma once

#include <functional>

#include "core/process_table.h"
#include "core/result.h"

namespace fleetledger {

/// Where looks come from: ps, /proc, or a test's own list.
class ProcessSource {
 public:
  using Done = std::function<void(Result<ProcessTable>)>;

  virtual ~ProcessSource() = default;

  /// Looks once and calls `done` exactly once, on the loop's thread, possibly before this returns. One look at a time.
  /// The table holds our own process. On failure nothing is known of any process: no table is better than a wrong one.
  virtual void look(Done done) = 0;
};

}  // namespace fleetledger
