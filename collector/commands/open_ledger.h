#pragma once

#include <memory>
#include <tl/expected.hpp>

#include "collector/api/ledger_json.h"
#include "collector/commands/commands.h"
#include "collector/discovery/discovery.h"
#include "core/ledger_store.h"

namespace fleetledger {

/// One agent's ledger, opened for a verb that reads it, whether or not the collector runs.
struct OpenLedger {
  std::unique_ptr<LedgerStore> store;
  std::shared_ptr<const Fleet> fleet;
  const Agent* agent = nullptr;  ///< in the fleet
  LedgerKey key;
  Window window;
};

/// Prints why not, and says with which exit code to end.
[[nodiscard]] tl::expected<OpenLedger, int> open_ledger(const CommonArguments& common,
                                                        const LedgerArguments& arguments);

}  // namespace fleetledger
