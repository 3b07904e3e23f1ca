#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "backends/sqlite/ledger_hours.h"
#include "backends/sqlite/ledger_place.h"
#include "core/ledger_queries.h"
#include "core/units.h"

namespace fleetledger {

/// The last summaries of ledgers, each good until its ledger changes or a row leaves its window, so that pages that are
/// refreshed often cost a look at the file instead of a read. Exact: what it answers is what reading would. Ledgers are
/// named by where they are looked for. Any thread.
class SummaryCache {
 public:
  /// Summaries kept, in all and of one ledger, and sources in all of them, of some 250 bytes each; beyond these those
  /// that were kept first go.
  static constexpr std::size_t kMost = 1024;
  static constexpr std::size_t kMostOfLedger = 8;
  static constexpr std::size_t kMostSources = 8192;
  /// A summary of more sources is not kept.
  static constexpr std::size_t kMostSourcesOfOne = 256;

  /// The summary of the rows from `since` on, if it is known for the ledger as `rest` shows it.
  [[nodiscard]] std::optional<LedgerSummary> find(const std::string& ledger, const LedgerRest& rest, WallTime since);

  /// `oldest` is the first ts of the window's rows; nothing: it has none. Call it only if the ledger looked like `rest`
  /// before and after the reading, and was settled.
  void keep(const std::string& ledger, const LedgerRest& rest, WallTime since, std::optional<WallTime> oldest,
            const LedgerSummary& summary);

  /// What was last counted of a ledger's rows.
  [[nodiscard]] std::optional<SqliteHours::SettledRows> find_rows(const std::string& ledger);
  void keep_rows(const std::string& ledger, const SqliteHours::SettledRows& rows);

  /// Of this ledger nothing is to be known any more.
  void forget(const std::string& ledger);

 private:
  struct Entry {
    std::string ledger;
    LedgerRest rest;
    WallTime since{};
    std::optional<WallTime> oldest;
    LedgerSummary summary;
  };
  using Entries = std::list<Entry>;

  void erase(Entries::iterator entry);

  std::mutex mutex_;
  std::map<std::string, SqliteHours::SettledRows> rows_;                  ///< by ledger; at most kMost
  Entries entries_;                                                       ///< kept first at the front
  std::multimap<std::string, Entries::iterator, std::less<>> by_ledger_;  ///< of one ledger kept first comes first
  std::size_t sources_ = 0;                                               ///< in entries_
};

}  // namespace fleetledger
