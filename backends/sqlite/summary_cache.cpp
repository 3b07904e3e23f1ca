#include "backends/sqlite/summary_cache.h"

#include <iterator>

namespace fleetledger {

std::optional<LedgerSummary> SummaryCache::find(const std::string& real_path, const LedgerRest& rest, WallTime since) {
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = by_path_.equal_range(real_path);
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

void SummaryCache::keep(const std::string& real_path, const LedgerRest& rest, WallTime since,
                        std::optional<WallTime> oldest, const LedgerSummary& summary) {
  if (summary.sources.size() > kMostSources) {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMost) {
    erase(entries_.begin());
  }
  entries_.push_back({real_path, rest, since, oldest, summary});
  by_path_.emplace(real_path, std::prev(entries_.end()));
}

std::optional<SqliteHours::SettledRows> SummaryCache::find_rows(const std::string& real_path) {
  const std::lock_guard lock(mutex_);
  const auto found = rows_.find(real_path);
  return found == rows_.end() ? std::nullopt : std::optional(found->second);
}

void SummaryCache::keep_rows(const std::string& real_path, const SqliteHours::SettledRows& rows) {
  const std::lock_guard lock(mutex_);
  if (rows_.size() >= kMost) {
    rows_.clear();
  }
  rows_[real_path] = rows;
}

void SummaryCache::erase(Entries::iterator entry) {
  const auto [begin, end] = by_path_.equal_range(entry->path);
  for (auto at = begin; at != end; ++at) {
    if (at->second == entry) {
      by_path_.erase(at);
      break;
    }
  }
  entries_.erase(entry);
}

}  // namespace fleetledger
