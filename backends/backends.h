#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

/// What the backends are told; each takes what concerns it.
struct StoreOptions {
  std::string central_directory;          ///< sqlite: absolute; made when the first central ledger is written
  std::size_t rows_per_ledger = 20'000;   ///< memory: samples, and events, of one ledger; beyond it the oldest go
  std::size_t open_ledgers = 256;         ///< sqlite: kept open, six descriptors each
  std::chrono::milliseconds limit{5000};  ///< sqlite: one operation that computes longer is broken off
};

/// One kind of store.
struct Backend {
  std::string_view name;  ///< as in `storage.backend`
  Result<std::unique_ptr<LedgerStore>> (*open)(const StoreOptions&);
};

/// All there are.
[[nodiscard]] std::span<const Backend> backends();

/// Opens a store by its backend's name; the error for an unknown name says which there are.
[[nodiscard]] Result<std::unique_ptr<LedgerStore>> open_store(std::string_view name, const StoreOptions& options);

}  // namespace fleetledger
