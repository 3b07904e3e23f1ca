#include "collector/snapshot_maker.h"

#include <algorithm>
#include <cmath>
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

/// What of `busy`, which was counted over `counted`, is of an interval that is about as long. A busy host is read later
/// after one look than after another.
Usage in_interval(Usage busy, Micros counted, Micros interval) {
  if (counted <= Micros{0}) {
    return busy;
  }
  const auto part = static_cast<double>(interval.count()) / static_cast<double>(counted.count());
  return Usage{Micros{std::llround(static_cast<double>(busy.micros().count()) * part)}};
}

}  // namespace

Snapshot SnapshotMaker::make(const Fleet& fleet, const ResolvedRoots& resolved, const Meter& meter,
                             const HostReading& host, MonotonicTime read) {
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
  snapshot.host = host_now(meter, {host, read, meter.last_look().moment().taken}, all, resolved.roots.collector);
  return snapshot;
}

HostNow SnapshotMaker::host_now(const Meter& meter, const Before& at, Usage agents, std::optional<Pid> self) {
  const auto& charges = meter.last_charges();
  HostNow now;
  now.cpus = at.host.cpus;
  now.memory_total = at.host.memory_total;
  now.memory_available = at.host.memory_available;
  Usage nobodys;
  for (std::size_t i = 0; i < charges.processes.size(); ++i) {
    const auto& reading = meter.last_look().readings()[i];
    if (charges.processes[i].why == Attribution::collector && reading.key.pid != self) {
      now.collector_children += reading.resident;
    }
    nobodys += charges.processes[i].why == Attribution::nobody ? charges.processes[i].usage : Usage{};
  }
  if (before_) {
    now.interval = at.look - before_->look;
    now.busy = in_interval(std::max(at.host.busy - before_->host.busy, Usage{}), at.read - before_->read, now.interval);
    now.agents = agents;
    now.collector = charges.collector;
    now.unattributed = charges.unattributed;
    const auto rest = now.busy - now.agents - now.collector - now.unattributed;
    now.other = std::max(rest, nobodys);
    now.rounding = rest - now.other;
    now.top_others = top_others(meter.last_look(), charges);
  }
  before_ = at;
  return now;
}

}  // namespace fleetledger
