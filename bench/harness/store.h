#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/harness/bars.h"
#include "bench/harness/spread.h"
#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger::bench {

/// A ledger with a row a minute for each of seven sources over seven days: 70,560 rows.
inline constexpr int kLedgerDays = 7;
inline constexpr int kLedgerSources = 7;

/// Writes such a ledger, its newest rows at `until`.
[[nodiscard]] Result<void> fill_ledger(LedgerStore& store, const LedgerKey& ledger, WallTime until);

/// What a question to that ledger costs beside the statements that it cannot do without, in CPU milliseconds each.
/// The bare statements are prepared once, on a connection that stays open.
struct StoreCost {
  std::int64_t rows = 0;
  Spread summary;        ///< LedgerStore::summary of one hour, the ledger changed since the last one
  Spread summary_again;  ///< the same, the ledger as it was
  Spread bare_summary;   ///< for each source its newest row and the sums over its hour, and the count of all rows
  Spread bare_seeks;     ///< the same without that count
  Spread trend;          ///< LedgerStore::trend of seven days in 200 buckets
  Spread bare_pass;      ///< one pass over the same rows, read and thrown away
  Spread append;         ///< LedgerStore::append of a row of each source
  Spread bare_append;    ///< one transaction of the same rows
  Spread week_summary;   ///< LedgerStore::summary of the seven days, the ledger changed since the last one

  // A ledger of kLongDays with kLongSources sources, whose rows of more than seven days ago are only in rollups.
  Spread long_summary;        ///< LedgerStore::summary of all of it, likewise
  double long_mebibytes = 0;  ///< its file
  Usage written;              ///< all CPU time that was ever written to it
  Usage kept;                 ///< what the summary says
};
inline constexpr int kLongDays = 90;
inline constexpr int kLongSources = 60;

/// In a temporary folder with the SQLite backend; everything in turn, so that what else happens hits all alike.
[[nodiscard]] Result<StoreCost> measure_store();

/// For people, and as one JSON object.
[[nodiscard]] std::string store_table(const StoreCost& cost);
[[nodiscard]] std::string store_json(const StoreCost& cost);

[[nodiscard]] std::vector<Bar> store_bars(const StoreCost& cost);

}  // namespace fleetledger::bench
