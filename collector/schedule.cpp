#include "collector/schedule.h"

#include <algorithm>
#include <numeric>

namespace fleetledger {

MonotonicTime Schedule::first_multiple_after(MonotonicTime moment, Micros period) const {
  const auto periods = moment < origin_ ? 0 : (moment - origin_) / period + 1;
  return origin_ + periods * period;
}

void Schedule::set(const std::string& agent, Micros period, MonotonicTime now) {
  const auto [found, added] = entries_.try_emplace(agent, Entry{.since = now});
  auto& entry = found->second;
  if (entry.period == period) {
    return;
  }
  entry.period = period;
  const auto earliest = entry.since + period / 2;
  const auto multiple = first_multiple_after(std::max(now, earliest - Micros{1}), period);
  entry.deadline = added || entry.deadline < earliest ? multiple : std::min(entry.deadline, multiple);
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

/// The multiples after the deadline, which itself may be one of an earlier period.
std::uint64_t Schedule::passed(const Entry& entry, MonotonicTime now) const {
  const auto multiples = [&](MonotonicTime until) { return (until - origin_) / entry.period; };
  return entry.deadline > now ? 0 : static_cast<std::uint64_t>(multiples(now) - multiples(entry.deadline));
}

std::uint64_t Schedule::passed(MonotonicTime now) const {
  return std::accumulate(entries_.begin(), entries_.end(), std::uint64_t{0},
                         [&](auto sum, const auto& entry) { return sum + passed(entry.second, now); });
}

Schedule::Due Schedule::take_due(MonotonicTime now) {
  Due due;
  for (auto& [agent, entry] : entries_) {
    if (entry.deadline > now) {
      continue;
    }
    due.agents.push_back(agent);
    due.skipped += passed(entry, now);
    entry.since = now;
    entry.deadline = first_multiple_after(now, entry.period);
  }
  return due;
}

}  // namespace fleetledger
