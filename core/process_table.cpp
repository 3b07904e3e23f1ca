#include "core/process_table.h"

#include <algorithm>
#include <utility>

namespace fleetledger {

ProcessTable::ProcessTable(Moment moment, std::vector<ProcessReading> readings)
    : moment_(moment), readings_(std::move(readings)) {
  const auto by_pid = [](const ProcessReading& left, const ProcessReading& right) {
    return left.key.pid < right.key.pid;
  };
  if (!std::is_sorted(readings_.begin(), readings_.end(), by_pid)) {
    std::stable_sort(readings_.begin(), readings_.end(), by_pid);
  }
  const auto same_pid = [](const ProcessReading& left, const ProcessReading& right) {
    return left.key.pid == right.key.pid;
  };
  // unique() keeps the first of a run, and the later one is to stay: so from the back.
  const auto kept = std::unique(readings_.rbegin(), readings_.rend(), same_pid);
  readings_.erase(readings_.begin(), kept.base());
}

std::optional<std::size_t> ProcessTable::index_of(Pid pid) const {
  const auto found =
      std::lower_bound(readings_.begin(), readings_.end(), pid,
                       [](const ProcessReading& reading, Pid wanted) { return reading.key.pid < wanted; });
  if (found == readings_.end() || found->key.pid != pid) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(found - readings_.begin());
}

const ProcessReading* ProcessTable::find(Pid pid) const {
  const auto index = index_of(pid);
  return index ? &readings_[*index] : nullptr;
}

const ProcessReading* ProcessTable::find(const ProcessKey& key) const {
  const auto* reading = find(key.pid);
  return reading != nullptr && reading->key == key ? reading : nullptr;
}

}  // namespace fleetledger
