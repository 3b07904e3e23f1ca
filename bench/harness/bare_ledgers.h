#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

/// What writing a tick costs with nothing but SQLite: `ledgers` files of their own with the ledgers' table and
/// indexes, in `folder`, each with one connection that stays open and one statement that stays prepared. In each of
/// `rounds`, all files get one transaction of `rows` rows. CPU milliseconds of the thread for all files of a round; the
/// first rounds, in which files and caches come to be, are left out.
[[nodiscard]] Result<Spread> measure_bare_ledgers(const std::string& folder, std::size_t ledgers, std::size_t rows,
                                                  int rounds);

}  // namespace fleetledger::bench
