#pragma once

#include <string>

#include "core/ledger_store.h"

namespace fleetledger {

// The answers of an agent's own server about its ledger, field by field (instar.md, "The HTTP contract"): the order,
// the rounding and the names are upstream's; fields of ours come after theirs. Pure; any thread.

/// Which time an answer is about.
struct Window {
  double hours = 0;
  WallTime since{};
};

/// The last `hours` before now. Hours beyond what a clock can count reach back to 1970.
[[nodiscard]] Window window_before(WallTime now, double hours);

/// GET /resources/summary
[[nodiscard]] std::string summary_json(const LedgerSummary& summary, const Window& window);

/// GET /resources/samples
[[nodiscard]] std::string samples_json(const std::vector<Sample>& samples, const Window& window, std::int64_t limit);

}  // namespace fleetledger
