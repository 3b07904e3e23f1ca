#include "collector/discovery/discovery.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "collector/discovery/gate.h"
#include "collector/discovery/home_registry.h"
#include "collector/discovery/kept_file.h"
#include "collector/discovery/places.h"
#include "collector/discovery/safe_file.h"
#include "collector/discovery/session_folder.h"
#include "collector/discovery/tmux_name.h"
#include "config/agent_config.h"
#include "config/registry.h"
#include "config/sentinel_line.h"
#include "config/values.h"

namespace fleetledger {
namespace {

constexpr std::size_t kMostAgents = 2'000;
constexpr std::size_t kMostRemarks = 200;
constexpr std::size_t kLongestConfig = std::size_t{1} << 20U;

/// One agent, and what is known of its files.
struct Known {
  RegistryEntry entry;
  bool registered = false;  ///< by a registry; otherwise only by our own list
  KeptFile<AgentConfig> config;
  SessionFolder sessions;

  AgentIdentity identity;
  bool excluded = false;
  Decision decision;

  [[nodiscard]] bool metered() const { return !excluded && decision.gate.ledger && decision.gate.sampling; }
};

/// A path that somebody named, and where it leads.
struct Named {
  RegistryEntry entry;
  bool registered = false;
  Result<std::string> real;
};

std::string sessions_path(const AgentIdentity& agent) { return agent.path + "/.instar/state/sessions"; }

/// Of several live files that name one tmux session, all but the one in charge are ghosts.
std::vector<Session> without_ghosts(const std::vector<Session>& sessions, std::vector<std::string>& remarks) {
  const auto is_better = [](const Session& a, const Session& b) {
    if (a.superseded != b.superseded) return b.superseded;
    return a.started_at > b.started_at;
  };
  std::map<std::string, const Session*> in_charge;
  for (const Session& session : sessions) {
    if (session.tmux_session.empty()) continue;
    const Session*& best = in_charge[name_in_tmux(session.tmux_session)];
    if (best == nullptr || is_better(session, *best)) best = &session;
  }
  std::vector<Session> kept;
  for (const Session& session : sessions) {
    const auto best = in_charge.find(name_in_tmux(session.tmux_session));
    if (best == in_charge.end() || best->second == &session) {
      kept.push_back(session);
    } else {
      remarks.push_back("session " + quoted(session.id) + ": its tmux session is that of session " +
                        quoted(best->second->id) + ", which started later or supersedes it");
    }
  }
  return kept;
}

bool same_content(const Fleet& a, const Fleet& b) {
  return a.agents == b.agents && a.access == b.access && a.folders == b.folders && a.remarks == b.remarks;
}

}  // namespace

class Discovery::Impl {
 public:
  explicit Impl(DiscoveryOptions options) : options_(std::move(options)) {}

  void reconfigure(DiscoveryOptions options) {
    options_ = std::move(options);
    thorough_ = true;
  }

  std::shared_ptr<const Fleet> refresh(Depth depth, WallTime now, const std::vector<std::string>& changed_folders) {
    const bool thorough = std::exchange(thorough_, false) || depth == Depth::folders;
    bool changed = thorough;
    if (thorough) find_registries();
    bool entries_changed = thorough;
    for (HomeRegistry& registry : registries_) entries_changed |= registry.refresh(options_.user, now);
    changed |= entries_changed;
    changed |= entries_changed ? name_agents() : retry_missing();
    if (changed) choose_agents();
    for (auto& [path, agent] : agents_) changed |= read_config(path, agent, now);
    if (changed) decide_all();
    changed |= read_sessions(thorough, now, {changed_folders.begin(), changed_folders.end()});
    if (changed) publish();
    return fleet_;
  }

 private:
  void find_registries() {
    FoundHomes found = find_homes(options_.config.homes, options_.home, options_.user);
    home_remarks_ = std::move(found.remarks);
    std::vector<HomeRegistry> registries;
    for (std::string& home : found.homes) {
      const auto known = std::find_if(registries_.begin(), registries_.end(),
                                      [&home](const HomeRegistry& registry) { return registry.home() == home; });
      registries.push_back(known != registries_.end() ? std::move(*known) : HomeRegistry(std::move(home)));
    }
    registries_ = std::move(registries);
  }

  /// Collects what registries and our own list name, and where it leads. Always something new.
  bool name_agents() {
    named_.clear();
    const auto add = [this](RegistryEntry entry, bool registered) {
      auto real = resolve_folder(entry.path, options_.user);
      named_.push_back({std::move(entry), registered, std::move(real)});
    };
    too_many_ = false;
    for (const HomeRegistry& registry : registries_) {
      for (const RegistryEntry& entry : registry.entries()) {
        too_many_ = too_many_ || named_.size() >= kMostAgents;
        if (!too_many_) add(entry, true);
      }
    }
    for (const std::string& path : options_.config.agents) {
      const std::string expanded = expand_home(path, options_.home);
      add({.path = expanded, .name = std::string(last_part(expanded)), .pid = {}, .last_heartbeat = {}}, false);
    }
    return true;
  }

  /// Looks for folders that were not there. Whether one is now.
  bool retry_missing() {
    bool changed = false;
    for (Named& named : named_) {
      if (named.real) continue;
      auto real = resolve_folder(named.entry.path, options_.user);
      if (!real && real.error().text == named.real.error().text) continue;
      named.real = std::move(real);
      changed = true;
    }
    return changed;
  }

  /// One Known for each real path that is named, with what was known of it.
  void choose_agents() {
    name_remarks_.clear();
    if (too_many_) {
      name_remarks_.push_back("more than " + std::to_string(kMostAgents) + " registry entries: the rest is left out");
    }
    std::map<std::string, const Named*> chosen;
    for (const Named& named : named_) {
      const std::string what = "agent " + quoted(named.entry.name) + " at " + quoted(named.entry.path) + ": ";
      if (!named.real) {
        name_remarks_.push_back(what + named.real.error().text + ": skipped");
        continue;
      }
      const Named*& best = chosen[*named.real];
      if (best != nullptr && best->registered && named.registered) {
        name_remarks_.push_back(what + "it is registered more than once; the newest heartbeat counts");
      }
      // Nothing compares as older than any heartbeat.
      if (best == nullptr || (named.registered && best->entry.last_heartbeat < named.entry.last_heartbeat)) {
        best = &named;
      }
    }
    std::map<std::string, Known> agents;
    for (const auto& [path, named] : chosen) {
      const auto known = agents_.find(path);
      Known& agent = agents[path];
      if (known != agents_.end()) agent = std::move(known->second);
      agent.entry = named->entry;
      agent.registered = named->registered;
    }
    agents_ = std::move(agents);
  }

  bool read_config(const std::string& path, Known& agent, WallTime now) {
    const FileLimits limits{.size = kLongestConfig, .user = options_.user};
    return agent.config.refresh(open_instar(path), "config.json", limits, now, parse_agent_config);
  }

  /// Identity, exclusion and gate of every agent: names have to be compared with each other.
  void decide_all() {
    decide_remarks_.clear();
    std::unordered_map<std::string, int> names;
    std::set<std::string> ids;
    for (auto& [path, agent] : agents_) {
      const std::string& own_name = agent.config.good ? agent.config.good->project_name : std::string();
      std::string name = agent.registered || own_name.empty() ? agent.entry.name : own_name;
      agent.identity = {agent_id(name, path), name, path};
      ++names[name];
    }
    std::set<std::string_view> used;
    for (auto& [path, agent] : agents_) {
      agent.excluded = is_excluded(agent, names, used);
      if (!agent.excluded && !ids.insert(agent.identity.id).second) {
        agent.excluded = true;
        decide_remarks_.push_back("agent at " + quoted(path) + ": its id " + agent.identity.id +
                                  " is that of another one: skipped");
      }
      const AgentOverride* own = agent.excluded ? nullptr : find_override(agent, names, used);
      agent.decision = decide(own, agent.config.good ? &*agent.config.good : nullptr, options_.defaults);
    }
    remark_unused("exclude", options_.config.exclude, used);
    std::vector<std::string> overridden;
    for (const auto& [key, value] : options_.config.overrides) overridden.push_back(key);
    remark_unused("overrides", overridden, used);
  }

  [[nodiscard]] bool is_at(const Known& agent, const std::string& key) const {
    const std::string path = expand_home(key, options_.home);
    return path == agent.identity.path || path == expand_home(agent.entry.path, options_.home);
  }

  bool is_excluded(const Known& agent, const std::unordered_map<std::string, int>& names,
                   std::set<std::string_view>& used) {
    for (const std::string& key : options_.config.exclude) {
      const bool by_name = key == agent.identity.name;
      if (!by_name && key != agent.identity.id && !is_at(agent, key)) continue;
      used.insert(key);
      if (by_name && names.at(key) > 1) {
        decide_remarks_.push_back("exclude: several agents are called " + quoted(key) + ": all are excluded, also " +
                                  agent.identity.id);
      }
      return true;
    }
    return false;
  }

  /// By path, else by id, else by a name that no other agent has.
  const AgentOverride* find_override(const Known& agent, const std::unordered_map<std::string, int>& names,
                                     std::set<std::string_view>& used) {
    const AgentOverride* by_path = nullptr;
    const AgentOverride* by_id = nullptr;
    const AgentOverride* by_name = nullptr;
    for (const auto& [key, value] : options_.config.overrides) {
      if (is_at(agent, key)) {
        by_path = &value;
      } else if (key == agent.identity.id) {
        by_id = &value;
      } else if (key == agent.identity.name && names.at(key) == 1) {
        by_name = &value;
      } else if (key == agent.identity.name) {
        decide_remarks_.push_back("overrides: several agents are called " + quoted(key) + ": not applied to " +
                                  agent.identity.id + "; name it by its id or path");
      } else {
        continue;
      }
      used.insert(key);
    }
    return by_path != nullptr ? by_path : by_id != nullptr ? by_id : by_name;
  }

  void remark_unused(std::string_view list, const std::vector<std::string>& keys,
                     const std::set<std::string_view>& used) {
    for (const std::string& key : keys) {
      if (!used.contains(key)) decide_remarks_.push_back(std::string(list) + ": no agent is called " + quoted(key));
    }
  }

  bool read_sessions(bool list, WallTime now, const std::set<std::string_view>& changed_folders) {
    bool changed = false;
    for (auto& [path, agent] : agents_) {
      if (!agent.metered()) {
        agent.sessions = {};
        continue;
      }
      const auto instar = open_instar(path);
      const bool list_this = list || changed_folders.contains(sessions_path(agent.identity));
      changed |= agent.sessions.refresh(instar, list_this, options_.user, now);
    }
    return changed;
  }

  void publish() {
    auto fleet = std::make_shared<Fleet>();
    std::set<WatchedFolder> folders;
    for (const HomeRegistry& registry : registries_) {
      folders.insert({registry.home() + "/.instar", WatchedFolder::Holds::settings});
      append(fleet->remarks, registry.remarks());
    }
    std::vector<const Known*> included;
    for (const auto& [path, agent] : agents_) {
      if (!agent.excluded) included.push_back(&agent);
    }
    std::sort(included.begin(), included.end(),
              [](const Known* a, const Known* b) { return a->identity.id < b->identity.id; });
    for (const Known* agent : included) {
      fleet->agents.push_back(describe(*agent));
      fleet->access.push_back(access_of(*agent));
      folders.insert({agent->identity.path + "/.instar", WatchedFolder::Holds::settings});
      if (agent->metered()) folders.insert({sessions_path(agent->identity), WatchedFolder::Holds::sessions});
      if (agent->decision.gate.ledger) folders.insert({logs_folder(agent->identity), WatchedFolder::Holds::logs});
    }
    fleet->folders.assign(folders.begin(), folders.end());
    append(fleet->remarks, home_remarks_);
    append(fleet->remarks, name_remarks_);
    append(fleet->remarks, decide_remarks_);
    if (fleet->remarks.size() > kMostRemarks) {
      const std::size_t more = fleet->remarks.size() - kMostRemarks;
      fleet->remarks.resize(kMostRemarks);
      fleet->remarks.push_back("and " + std::to_string(more) + " more");
    }
    if (fleet_ && same_content(*fleet, *fleet_)) return;
    fleet->version = fleet_ ? fleet_->version + 1 : 1;
    fleet_ = std::move(fleet);
  }

  static void append(std::vector<std::string>& all, const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
  }

  static Agent describe(const Known& known) {
    Agent agent;
    agent.identity = known.identity;
    agent.named_path = known.entry.path;
    agent.gate = known.decision.gate;
    agent.settings = known.decision.settings;
    agent.server_pid = known.entry.pid;
    agent.last_heartbeat = known.entry.last_heartbeat;
    agent.remarks = known.decision.remarks;
    append(agent.remarks, known.sessions.remarks());
    agent.live_sessions = without_ghosts(known.sessions.live(), agent.remarks);
    if (known.config.good) agent.tmux_path = known.config.good->tmux_path;
    agent.config_readable = known.config.problem.empty();
    agent.reason = known.decision.reason;
    if (!agent.config_readable) {
      agent.reason = "config.json: " + known.config.problem + "; " +
                     (known.config.good ? "the last good one stays in force: " : "") + known.decision.reason;
    }
    return agent;
  }

  static AgentAccess access_of(const Known& known) {
    if (!known.config.good) return {};
    return {known.config.good->token, known.config.good->port, known.config.good->project_name};
  }

  DiscoveryOptions options_;
  bool thorough_ = true;
  std::vector<HomeRegistry> registries_;
  std::vector<Named> named_;
  bool too_many_ = false;
  std::map<std::string, Known> agents_;  ///< by real path
  std::vector<std::string> home_remarks_;
  std::vector<std::string> name_remarks_;
  std::vector<std::string> decide_remarks_;
  std::shared_ptr<const Fleet> fleet_;
};

std::string logs_folder(const AgentIdentity& agent) { return agent.path + '/' + std::string(kLogsFolder); }

Discovery::Discovery(DiscoveryOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Discovery::~Discovery() = default;

std::shared_ptr<const Fleet> Discovery::refresh(Depth depth, WallTime now,
                                                const std::vector<std::string>& changed_folders) {
  return impl_->refresh(depth, now, changed_folders);
}

void Discovery::reconfigure(DiscoveryOptions options) { impl_->reconfigure(std::move(options)); }

}  // namespace fleetledger
