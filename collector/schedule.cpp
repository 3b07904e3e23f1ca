#include "collector/schedule.h"

#include <algorithm>

namespace fleetledger {

MonotonicTime Schedule::first_multiple_after(MonotonicTime moment, Micros period) const {
  const auto periods = moment < origin_ ? 0 : (moment - origin_) / period + 1;
  return origin_ + periods * period;
}

void Schedule::set(const std::string& agent, Micros period, MonotonicTime now) {
  auto& entry = entries_[agent];
  if (entry.period == period) {
    return;
  }
  entry = {period, first_multiple_after(now + period / 2 - Micros{1}, period)};
}

void Schedule::remove(const std::string& agent) { entries_.erase(agent); }

std::optional<MonotonicTime> Schedule::next() const {
  const auto earliest = std::min_element(entries_.begin(), entries_.end(), [](const auto& left, const auto& right) {
    return left.second.deadline < right.second.deadline;
  });
  return earliest == entries_.end() ? std::nullopt : std::optional{earliest->second.deadline};
}

bool Schedule::is_due(const std::string& agent, MonotonicTime now) const {
  const auto entry = entries_.find(agent);
  return entry != entries_.end() && entry->second.deadline <= now;
}

Schedule::Due Schedule::take_due(MonotonicTime now) {
  Due due;
  for (auto& [agent, entry] : entries_) {
    if (entry.deadline > now) {
      continue;
    }
    due.agents.push_back(agent);
    due.skipped += static_cast<std::uint64_t>((now - entry.deadline) / entry.period);
    entry.deadline = first_multiple_after(now, entry.period);
  }
  return due;
}

}  // namespace fleetledger
