#include "collector/snapshot_maker.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace fleetledger {
namespace {

constexpr std::size_t kTopOthers = 3;

std::vector<OtherProgram> top_others(const ProcessTable& table, const Charges& charges) {
  std::unordered_map<std::string, OtherProgram> by_name;
  for (std::size_t i = 0; i < charges.processes.size(); ++i) {
    if (charges.processes[i].why != Attribution::nobody) {
      continue;
    }
    const auto& reading = table.readings()[i];
    auto& program = by_name[std::string(reading.name.view())];
    program.usage += charges.processes[i].usage;
    program.resident += reading.resident;
    ++program.processes;
  }
  std::vector<OtherProgram> programs;
  for (auto& [name, program] : by_name) {
    program.name = name;
    programs.push_back(std::move(program));
  }
  const auto heavier = [](const OtherProgram& left, const OtherProgram& right) {
    return std::tie(right.usage, right.resident, left.name) < std::tie(left.usage, left.resident, right.name);
  };
  const auto shown = std::min(kTopOthers, programs.size());
  std::partial_sort(programs.begin(), programs.begin() + static_cast<std::ptrdiff_t>(shown), programs.end(), heavier);
  programs.resize(shown);
  return programs;
}

}  // namespace

Snapshot SnapshotMaker::make(const Fleet& fleet, const ResolvedRoots& resolved, const Meter& meter,
                             const HostReading& host) {
  const auto& charges = meter.last_charges();
  Snapshot snapshot;
  snapshot.processes = meter.last_look().size();
  std::unordered_map<std::uint32_t, std::size_t> agent_of;  // by the number in claims
  for (const auto& metered : resolved.metered) {
    agent_of.emplace(metered.number, metered.agent);
  }
  snapshot.agents.reserve(fleet.agents.size());
  for (const auto& agent : fleet.agents) {
    auto& now = snapshot.agents.emplace_back();
    now.identity = agent.identity;
    now.metered = agent.metered();
  }
  auto named = resolved.named.begin();  // as the charges, by claim
  for (const auto& charge : charges.sources) {
    while (named != resolved.named.end() && named->claim < charge.claim) {
      ++named;
    }
    const auto owner = agent_of.find(charge.claim.agent);
    if (owner == agent_of.end()) {
      continue;
    }
    auto& agent = snapshot.agents[owner->second];
    SourceNow now{.usage = charge.usage, .resident = charge.resident, .processes = charge.processes};
    if (named != resolved.named.end() && named->claim == charge.claim) {
      now.source = named->source;
      now.session_name = named->session_name;
      now.pid = named->pid;
    } else {
      // Without a root there are the orphans, and what a session that has just ended had left.
      now.source = charge.claim.source == kOrphans ? kOrphansSource : kSessionPrefix;
    }
    const auto role = static_cast<std::size_t>(role_of(now.source));
    agent.roles[role].usage += charge.usage;
    agent.roles[role].resident += charge.resident;
    agent.roles[role].processes += charge.processes;
    if (now.source != kSessionPrefix) {
      agent.sources.push_back(std::move(now));
    }
  }
  for (auto& agent : snapshot.agents) {
    std::sort(agent.sources.begin(), agent.sources.end(), [](const SourceNow& left, const SourceNow& right) {
      return std::pair(role_of(left.source), std::string_view(left.source)) <
             std::pair(role_of(right.source), std::string_view(right.source));
    });
  }
  Usage all;
  for (const auto& agent : snapshot.agents) {
    for (const auto& role : agent.roles) {
      all += role.usage;
    }
  }
  snapshot.host = host_now(meter, host, all, resolved.roots.collector);
  return snapshot;
}

HostNow SnapshotMaker::host_now(const Meter& meter, const HostReading& host, Usage agents, std::optional<Pid> self) {
  const auto& charges = meter.last_charges();
  const auto taken = meter.last_look().moment().taken;
  HostNow now;
  now.cpus = host.cpus;
  now.memory_total = host.memory_total;
  now.memory_available = host.memory_available;
  for (std::size_t i = 0; i < charges.processes.size(); ++i) {
    const auto& reading = meter.last_look().readings()[i];
    if (charges.processes[i].why == Attribution::collector && reading.key.pid != self) {
      now.collector_children += reading.resident;
    }
  }
  if (before_) {
    now.interval = taken - before_->taken;
    now.busy = std::max(host.busy - before_->host.busy, Usage{});
    now.agents = agents;
    now.collector = charges.collector;
    now.unattributed = charges.unattributed;
    const auto rest = now.busy - now.agents - now.collector - now.unattributed;
    now.other = std::max(rest, Usage{});
    now.rounding = rest - now.other;
    now.top_others = top_others(meter.last_look(), charges);
  }
  before_ = Before{host, taken};
  return now;
}

}  // namespace fleetledger
