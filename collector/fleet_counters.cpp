#include "collector/fleet_counters.h"

#include <algorithm>
#include <set>

namespace fleetledger {

std::vector<std::string> FleetCounters::adopt(const Fleet& fleet, MonotonicTime now) {
  std::set<std::string_view> known;
  for (const auto& agent : fleet.agents) {
    known.insert(agent.identity.id);
    auto& counters = agents_[agent.identity.id];
    counters.identity = agent.identity;
    counters.gone_since.reset();
    if (agent.metered()) {
      counters.metered_last.reset();
    } else if (counters.metered) {
      counters.metered_last = now;
    }
    counters.metered = agent.metered();
  }
  std::vector<std::pair<MonotonicTime, std::string>> gone;
  for (auto& [id, counters] : agents_) {
    if (known.contains(id)) {
      continue;
    }
    if (counters.metered) {
      counters.metered = false;
      counters.metered_last = now;
    }
    gone.emplace_back(*(counters.gone_since = counters.gone_since.value_or(now)), id);
  }
  std::sort(gone.begin(), gone.end());
  std::vector<std::string> forgotten;
  for (std::size_t i = 0; i + kMostGone < gone.size(); ++i) {
    agents_.erase(gone[i].second);
    forgotten.push_back(std::move(gone[i].second));
  }
  return forgotten;
}

void FleetCounters::add(const Snapshot& snapshot, MonotonicTime now) {
  for (const auto& agent : snapshot.agents) {
    auto& counters = agents_[agent.identity.id];
    for (std::size_t role = 0; role < kRoles; ++role) {
      counters.cpu[role] += agent.roles[role].usage;
    }
  }
  const auto& host = snapshot.host;
  host_.agents += host.agents;
  host_.collector += host.collector;
  host_.unattributed += host.unattributed;
  host_busy_ += host.busy;
  host_.other = std::max(host_.other, host_busy_ - host_.agents - host_.collector - host_.unattributed);
  if (most_sessions_ > 0) {
    add_sessions(snapshot, now);
  }
}

void FleetCounters::add_sessions(const Snapshot& snapshot, MonotonicTime now) {
  for (auto& [key, session] : sessions_) {
    session.ended = session.ended.value_or(now);
    session.resident = {};
    session.processes = 0;
  }
  std::erase_if(sessions_, [now](const auto& entry) { return now - *entry.second.ended >= kShownAfterEnd; });
  left_out_ = 0;
  for (const auto& agent : snapshot.agents) {
    for (const auto& source : agent.sources) {
      if (role_of(source.source) != Role::sessions) {
        continue;
      }
      const SessionKey key{agent.identity.id, source.source.substr(kSessionPrefix.size())};
      if (sessions_.size() >= most_sessions_ && !sessions_.contains(key)) {
        ++left_out_;
        continue;
      }
      auto& session = sessions_[key];
      session.name = source.session_name;
      session.cpu += source.usage;
      session.resident = source.resident;
      session.processes = source.processes;
      session.ended.reset();
    }
  }
}

void FleetCounters::add(const AgentIdentity& agent, const std::vector<RateLimitEvent>& events) {
  if (events.empty()) {
    return;
  }
  auto& counters = agents_[agent.id];
  for (const auto& event : events) {
    const auto kind = std::find(kEventKinds.begin(), kEventKinds.end() - 1, event.kind);
    ++counters.events[static_cast<std::size_t>(kind - kEventKinds.begin())];
  }
}

void FleetCounters::add_skipped(const AgentIdentity& agent, const SkippedLines& skipped) {
  auto& counted = agents_[agent.id].skipped;
  for (std::size_t why = 0; why < skipped.size(); ++why) {
    counted[why] += skipped[why];
  }
}

}  // namespace fleetledger
