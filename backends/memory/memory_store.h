#pragma once

#include <memory>

#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

struct StoreOptions;

/// Ledgers that live as long as the store: for tests, trials and hosts where something else keeps the figures.
/// Each holds at most `rows_per_ledger` samples and as many events; of more, the oldest go. Of agents that are gone a
/// hundred ledgers are kept; of more, those that were released first go.
[[nodiscard]] Result<std::unique_ptr<LedgerStore>> open_memory_store(const StoreOptions& options);

}  // namespace fleetledger
