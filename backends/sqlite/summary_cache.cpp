#include "backends/sqlite/summary_cache.h"

#include <iterator>

namespace fleetledger {

std::optional<LedgerSummary> SummaryCache::find(const std::string& ledger, const LedgerRest& rest, WallTime since) {
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = by_ledger_.equal_range(ledger);
  for (auto at = begin; at != end;) {
    const auto entry = (at++)->second;
    if (entry->rest != rest) {
      erase(entry);
    } else if (entry->since <= since && (!entry->oldest || since <= *entry->oldest)) {
      return entry->summary;
    }
  }
  return std::nullopt;
}

void SummaryCache::keep(const std::string& ledger, const LedgerRest& rest, WallTime since,
                        std::optional<WallTime> oldest, const LedgerSummary& summary) {
  if (summary.sources.size() > kMostSourcesOfOne) {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (by_ledger_.count(ledger) >= kMostOfLedger) {
    erase(by_ledger_.lower_bound(ledger)->second);
  }
  while (!entries_.empty() && (entries_.size() >= kMost || sources_ + summary.sources.size() > kMostSources)) {
    erase(entries_.begin());
  }
  sources_ += summary.sources.size();
  entries_.push_back({ledger, rest, since, oldest, summary});
  by_ledger_.emplace(ledger, std::prev(entries_.end()));
}

std::optional<SqliteHours::SettledRows> SummaryCache::find_rows(const std::string& ledger) {
  const std::lock_guard lock(mutex_);
  const auto found = rows_.find(ledger);
  return found == rows_.end() ? std::nullopt : std::optional(found->second);
}

void SummaryCache::keep_rows(const std::string& ledger, const SqliteHours::SettledRows& rows) {
  const std::lock_guard lock(mutex_);
  if (rows_.size() >= kMost) {
    rows_.clear();
  }
  rows_[ledger] = rows;
}

void SummaryCache::forget(const std::string& ledger) {
  const std::lock_guard lock(mutex_);
  rows_.erase(ledger);
  for (auto at = by_ledger_.find(ledger); at != by_ledger_.end(); at = by_ledger_.find(ledger)) {
    erase(at->second);
  }
}

void SummaryCache::erase(Entries::iterator entry) {
  const auto [begin, end] = by_ledger_.equal_range(entry->ledger);
  for (auto at = begin; at != end; ++at) {
    if (at->second == entry) {
      by_ledger_.erase(at);
      break;
    }
  }
  sources_ -= entry->summary.sources.size();
  entries_.erase(entry);
}

}  // namespace fleetledger
