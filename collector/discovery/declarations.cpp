#include "collector/discovery/declarations.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/sample.h"

namespace fleetledger {
namespace {

constexpr std::size_t kSeveral = static_cast<std::size_t>(-1);

/// The agent's folder, however it is written: with a slash at its end, or the `.instar` in it.
std::string_view without_ending(std::string_view home) {
  constexpr std::string_view kFolder = "/.instar";
  const auto without_slashes = [](std::string_view path) {
    const auto last = path.find_last_not_of('/');
    return path.substr(0, last == std::string_view::npos ? 0 : last + 1);
  };
  home = without_slashes(home);
  if (home.ends_with(kFolder)) {
    home.remove_suffix(kFolder.size());
  }
  return without_slashes(home);
}

bool speaks_for_itself(const ProcessReading& reading, Uid user) {
  return reading.owner == user && !reading.zombie && reading.key.pid != 1 && !is_named_tmux_server(reading) &&
         !is_service_manager(reading);
}

/// Whether a process above this one is somebody's.
bool is_below_somebodys(const ProcessTable& table, const Charges& charges, const ProcessReading& process) {
  auto above = table.index_of(process.parent);
  for (auto steps = table.size(); above && steps > 0; --steps) {  // parents may run in circles
    if (charges.processes[*above].why != Attribution::nobody) {
      return true;
    }
    above = table.index_of(table.readings()[*above].parent);
  }
  return false;
}

}  // namespace

std::vector<ProcessKey> Declarations::to_read(const ProcessTable& table, const Charges& charges, std::size_t most) {
  std::vector<ProcessKey> wanted;
  std::vector<ProcessKey> asked;
  asked.reserve(asked_.size());
  const auto readings = table.readings();
  auto before = asked_.begin();
  for (std::size_t i = 0; i < readings.size(); ++i) {
    const auto& reading = readings[i];
    while (before != asked_.end() && before->pid < reading.key.pid) {
      ++before;
    }
    if (before == asked_.end() || *before != reading.key) {
      const bool nobodys = charges.processes[i].why == Attribution::nobody;
      if (!nobodys || wanted.size() == most || !speaks_for_itself(reading, user_) ||
          is_below_somebodys(table, charges, reading)) {
        continue;
      }
      wanted.push_back(reading.key);
    }
    asked.push_back(reading.key);
  }
  asked_ = std::move(asked);
  std::erase_if(kept_, [&](const auto& entry) { return table.find(entry.first) == nullptr; });
  return wanted;
}

void Declarations::keep(const std::vector<DeclaredProcess>& declared) {
  for (const auto& [process, says] : declared) {
    kept_[process] = {says, std::nullopt};
    matched_.reset();
  }
}

std::unordered_map<ProcessKey, Claim> Declarations::claims(const Fleet& fleet, const ResolvedRoots& resolved) {
  std::unordered_map<ProcessKey, Claim> claims;
  if (kept_.empty()) {
    return claims;
  }
  if (matched_ != fleet.version) {
    match(fleet);
    matched_ = fleet.version;
  }
  std::unordered_map<std::size_t, std::uint32_t> numbers;  // by the agent's place
  for (const auto& agent : resolved.metered) {
    numbers.emplace(agent.agent, agent.number);
  }
  std::map<std::pair<std::size_t, std::string_view>, Claim> sessions;
  for (const auto& root : resolved.named) {
    const std::string_view source = root.source;
    if (source.starts_with(kSessionPrefix)) {
      sessions.emplace(std::pair(root.agent, source.substr(kSessionPrefix.size())), root.claim);
    }
  }
  for (const auto& [process, kept] : kept_) {
    const auto number = kept.agent ? numbers.find(*kept.agent) : numbers.end();
    if (number == numbers.end()) {
      continue;
    }
    const auto session = sessions.find({*kept.agent, kept.says.session_id});
    claims.emplace(process, session != sessions.end() ? session->second : Claim{number->second, kOrphans});
  }
  return claims;
}

/// Finds the agent that each names.
void Declarations::match(const Fleet& fleet) {
  std::unordered_map<std::string_view, std::size_t> by_path;
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t at = 0; at < fleet.agents.size(); ++at) {
    const auto& agent = fleet.agents[at];
    by_path.emplace(agent.identity.path, at);
    if (const auto path = without_ending(agent.named_path); !path.empty()) {
      by_path.emplace(path, at);
    }
    for (const std::string_view name : {std::string_view(agent.identity.id), std::string_view(agent.identity.name),
                                        std::string_view(fleet.access[at].project_name)}) {
      if (name.empty()) {
        continue;
      }
      const auto [known, is_new] = by_name.emplace(name, at);
      if (!is_new && known->second != at) {
        known->second = kSeveral;
      }
    }
  }
  for (auto& [process, kept] : kept_) {
    const auto& names = kept.says.agent_home.empty() ? by_name : by_path;
    const auto found =
        names.find(kept.says.agent_home.empty() ? kept.says.agent_id : without_ending(kept.says.agent_home));
    const bool one = found != names.end() && found->second != kSeveral;
    kept.agent = one ? std::optional{found->second} : std::nullopt;
  }
}

bool Declarations::asked(const ProcessKey& process) const {
  return std::binary_search(asked_.begin(), asked_.end(), process);
}

}  // namespace fleetledger
