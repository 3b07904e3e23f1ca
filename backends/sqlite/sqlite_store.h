#pragma once

#include <memory>

#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

struct StoreOptions;

/// One SQLite file per agent, in upstream's schema, beside the agent or in the central directory. A committed tick
/// survives a kill of the process; a power cut may lose the ticks since the last checkpoint.
///
/// Nothing but SQLite opens or closes a ledger, its -wal or -shm in this process: closing any other descriptor on them
/// would drop SQLite's locks, and another process could then delete committed rows. Here they are only stat'ed.
[[nodiscard]] Result<std::unique_ptr<LedgerStore>> open_sqlite_store(const StoreOptions& options);

}  // namespace fleetledger
