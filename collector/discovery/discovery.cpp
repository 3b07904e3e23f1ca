#include "collector/discovery/discovery.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "collector/discovery/folder_readers.h"
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

/// What an agent's folder is read into. A reader's own, while the folder hangs.
struct AgentFiles {
  FolderIdentity instar;  ///< the folder with the config
  FolderIdentity logs;
  KeptFile<AgentConfig> config;
  SessionFolder sessions;
};

/// What they last said, for as long as they belong to a reader.
struct AgentView {
  FolderIdentity instar;              ///< the folders that say it
  FolderIdentity logs;                ///< likewise
  FolderIdentity sessions_folder;     ///< likewise
  std::optional<AgentConfig> config;  ///< the last good one
  std::string problem;                ///< with the config
  std::vector<Session> sessions;      ///< the live ones
  std::vector<std::string> remarks;
};

/// One agent, and what is known of its files.
struct Known {
  RegistryEntry entry;
  bool registered = false;  ///< by a registry; otherwise only by our own list
  std::shared_ptr<AgentFiles> files = std::make_shared<AgentFiles>();
  AgentView said;
  bool config_is_read = false;     ///< its disk has answered
  bool sessions_are_read = false;  ///< likewise, since it is metered

  AgentIdentity identity;
  bool excluded = false;
  Decision decision;

  [[nodiscard]] bool metered() const { return !excluded && decision.gate.ledger && decision.gate.sampling; }
};

/// A home, and what its registry last said.
struct Home {
  std::string path;
  std::shared_ptr<HomeRegistry> registry;  ///< a reader's own, while the home hangs
  bool is_read = false;                    ///< its disk has answered
  FolderIdentity instar;                   ///< said by it, as what follows
  std::vector<RegistryEntry> entries;
  std::vector<std::string> remarks;
};

/// A path that somebody named, and where it leads.
struct Named {
  RegistryEntry entry;
  bool registered = false;
  Result<std::string> real;
};

std::string settings_path(const std::string& place) { return place + "/.instar"; }
std::string sessions_path(const std::string& agent) { return agent + "/.instar/state/sessions"; }
std::string logs_path(const std::string& agent) { return agent + '/' + std::string(kLogsFolder); }

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
  return a.agents == b.agents && a.access == b.access && a.folders == b.folders && a.silent == b.silent &&
         a.remarks == b.remarks;
}

}  // namespace

class Discovery::Impl {
 public:
  explicit Impl(DiscoveryOptions options) : options_(std::move(options)) {}

  void reconfigure(DiscoveryOptions options) {
    options_ = std::move(options);
    thorough_ = true;
  }

  std::shared_ptr<const Fleet> refresh(Depth depth, WallTime now, const FolderNews& news) {
    now_ = now;
    const bool thorough = std::exchange(thorough_, false) || depth == Depth::folders;
    bool changed = take_back() || thorough;
    const auto silent_before = silent_;
    const bool left_out_before = std::exchange(left_out_, false);
    look_at_all_ = thorough || depth != Depth::told || left_out_before;
    to_list_ = {news.changed.begin(), news.changed.end()};
    to_look_at_ = to_list_;
    to_look_at_.insert(news.unwatched.begin(), news.unwatched.end());
    if (thorough) find_homes();
    const bool entries_changed = read_registries() || look_at_all_;
    changed |= entries_changed ? name_agents(look_at_all_) : retry_missing();
    if (changed) choose_agents();
    changed |= read_configs();
    if (changed) decide_all();
    changed |= read_sessions(thorough);
    if (changed || silent_ != silent_before || left_out_ != left_out_before) publish();
    returned_.clear();
    return fleet_;
  }

 private:
  /// Looks at each place on a reader: look(i) for places[i]. Nothing for those that do not answer.
  template <typename Look>
  auto ask(const std::vector<std::string>& places, Look look) {
    using Answer = std::invoke_result_t<Look, std::size_t>;
    using Answers = std::vector<std::optional<Answer>>;
    const auto answers = std::make_shared<Answers>(places.size());
    const auto outcomes =
        readers_.run(places, [answers, look = std::move(look)](std::size_t at) { (*answers)[at].emplace(look(at)); });
    Answers taken(places.size());
    for (std::size_t at = 0; at < places.size(); ++at) {
      switch (outcomes[at]) {
        case FolderReaders::Outcome::done:
          taken[at] = std::move((*answers)[at]);
          break;
        case FolderReaders::Outcome::hangs:
          silent_.try_emplace(places[at], now_);
          break;
        case FolderReaders::Outcome::left_out:
          left_out_ = true;
          break;
      }
    }
    return taken;
  }

  [[nodiscard]] bool is_silent(const std::string& place) const { return silent_.contains(place); }
  [[nodiscard]] bool is_told(const std::string& folder) const { return look_at_all_ || to_look_at_.contains(folder); }
  /// Since when nothing is heard of an agent's folder.
  [[nodiscard]] std::optional<WallTime> silent_since(const Known& agent, const std::string& path) const {
    for (const std::string* place : {&path, &agent.entry.path}) {
      if (const auto found = silent_.find(*place); found != silent_.end()) return found->second;
    }
    return std::nullopt;
  }

  /// What readers have come back with since the last time is looked at as if it were new. Whether there is any.
  bool take_back() {
    if (silent_.empty()) return false;
    const auto hanging = readers_.hanging();
    std::erase_if(silent_, [&](const auto& place) {
      if (hanging.contains(place.first)) return false;
      returned_.insert(place.first);
      return true;
    });
    return !returned_.empty();
  }

  void find_homes() {
    home_remarks_.clear();
    std::vector<std::string> globs;
    for (const std::string& pattern : options_.config.homes) {
      const std::string expanded = expand_home(pattern, options_.home);
      if (is_glob(expanded) && std::find(globs.begin(), globs.end(), expanded) == globs.end())
        globs.push_back(expanded);
    }
    auto found = ask(globs, [globs](std::size_t at) { return expand_glob(globs[at]); });
    for (std::size_t at = 0; at < globs.size(); ++at) {
      if (found[at]) matches_[globs[at]] = std::move(*found[at]);
    }

    std::vector<std::string> named;
    std::map<std::string, bool> by_glob;
    for (const std::string& pattern : options_.config.homes) {
      const std::string expanded = expand_home(pattern, options_.home);
      if (is_glob(expanded) && is_silent(expanded))
        home_remarks_.push_back("homes " + quoted(expanded) + ": " + silence(expanded));
      for (const std::string& path : is_glob(expanded) ? matches_[expanded] : std::vector{expanded}) {
        if (by_glob.emplace(path, is_glob(expanded)).second) named.push_back(path);
      }
    }
    home_paths_ = resolve(named, home_paths_);
    std::vector<Home> homes;
    for (const std::string& path : named) {
      const auto& home = home_paths_.at(path);
      if (!home) {
        home_remarks_.push_back("home " + quoted(path) + ": " + home.error().text + ": skipped");
        continue;
      }
      const auto is_it = [&home](const Home& other) { return other.path == *home; };
      if (std::any_of(homes.begin(), homes.end(), is_it)) continue;
      const auto known = std::find_if(homes_.begin(), homes_.end(), is_it);
      if (known != homes_.end()) {
        homes.push_back(std::move(*known));
      } else if (!by_glob.at(path) ||
                 ask({*home}, [path = *home](std::size_t) { return has_instar(path); })[0] == true) {
        homes.push_back({.path = *home,
                         .registry = std::make_shared<HomeRegistry>(*home),
                         .instar = {},
                         .entries = {},
                         .remarks = {}});
      }
    }
    homes_ = std::move(homes);
  }

  using Paths = std::map<std::string, Result<std::string>>;  ///< where they lead, or why nowhere

  /// Asks where paths lead. It stays as it was known of those whose disk does not answer.
  Paths resolve(const std::vector<std::string>& paths, const Paths& known) {
    const auto lead = [&known](const std::string& path) {
      const auto found = known.find(path);
      return found != known.end() && found->second ? &*found->second : nullptr;
    };
    std::vector<std::string> asked;
    for (const std::string& path : std::set<std::string>(paths.begin(), paths.end())) {
      const std::string* before = lead(path);
      if (before == nullptr || !is_silent(*before)) asked.push_back(path);
    }
    const auto found =
        ask(asked, [asked, user = options_.user](std::size_t at) { return resolve_folder(asked[at], user); });
    Paths answers;
    for (std::size_t at = 0; at < asked.size(); ++at) {
      if (found[at]) answers.emplace(asked[at], *found[at]);
    }
    for (const std::string& path : paths) {
      if (answers.contains(path)) continue;
      const std::string* before = lead(path);
      answers.emplace(path, before != nullptr ? Result<std::string>(*before) : fail(silence(path), Error::Kind::busy));
    }
    return answers;
  }

  [[nodiscard]] std::string silence(const std::string& place) const {
    const auto since = silent_.find(place);
    return since == silent_.end() ? "too many disks do not answer" : silence(since->second);
  }
  [[nodiscard]] static std::string silence(WallTime since) {
    return "the disk does not answer since " + utc_text(since);
  }

  bool read_registries() {
    std::vector<std::string> places;
    std::vector<std::shared_ptr<HomeRegistry>> registries;
    std::vector<Home*> homes;
    for (Home& home : homes_) {
      if (is_silent(home.path)) continue;
      if (home.is_read && !is_told(settings_path(home.path)) && !returned_.contains(home.path) &&
          !home.registry->unsettled()) {
        continue;
      }
      places.push_back(home.path);
      homes.push_back(&home);
      registries.push_back(home.registry);
    }
    const auto changed = ask(places, [registries, user = options_.user, now = now_](std::size_t at) {
      return registries[at]->refresh(user, now);
    });
    bool any = false;
    for (std::size_t at = 0; at < homes.size(); ++at) {
      const bool was_read = std::exchange(homes[at]->is_read, changed[at].has_value());
      if (!changed[at] || (!*changed[at] && was_read && !returned_.contains(places[at]))) continue;
      homes[at]->instar = homes[at]->registry->which();
      homes[at]->entries = homes[at]->registry->entries();
      homes[at]->remarks = homes[at]->registry->remarks();
      any = true;
    }
    return any;
  }

  /// Collects what registries and our own list name, and where it leads: asked of what was not known to lead anywhere,
  /// or of all. Always something new.
  bool name_agents(bool of_all) {
    named_.clear();
    const auto add = [this](RegistryEntry entry, bool registered) {
      named_.push_back({std::move(entry), registered, fail("not looked for")});
    };
    too_many_ = false;
    for (const Home& home : homes_) {
      for (const RegistryEntry& entry : home.entries) {
        too_many_ = too_many_ || named_.size() >= kMostAgents;
        if (!too_many_) add(entry, true);
      }
    }
    for (const std::string& path : options_.config.agents) {
      const std::string expanded = expand_home(path, options_.home);
      add({.path = expanded, .name = std::string(last_part(expanded)), .pid = {}, .last_heartbeat = {}}, false);
    }
    std::vector<std::string> paths;
    Paths known;
    for (const Named& named : named_) {
      const auto found = agent_paths_.find(named.entry.path);
      if (!of_all && found != agent_paths_.end() && found->second) {
        known.insert(*found);
      } else {
        paths.push_back(named.entry.path);
      }
    }
    known.merge(resolve(paths, agent_paths_));
    agent_paths_ = std::move(known);
    for (Named& named : named_) named.real = agent_paths_.at(named.entry.path);
    return true;
  }

  /// Looks for folders that were not there. Whether one is now.
  bool retry_missing() {
    std::vector<std::string> paths;
    for (const Named& named : named_) {
      if (!named.real) paths.push_back(named.entry.path);
    }
    if (paths.empty()) return false;
    bool changed = false;
    for (auto& [path, real] : resolve(paths, {})) agent_paths_.insert_or_assign(path, real);
    for (Named& named : named_) {
      if (named.real) continue;
      const auto& now = agent_paths_.at(named.entry.path);
      if (!now && now.error().text == named.real.error().text) continue;
      named.real = now;
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

  /// Of every agent; whether one says anything else than before.
  bool read_configs() {
    std::vector<std::string> paths;
    std::vector<Known*> agents;
    std::vector<std::shared_ptr<AgentFiles>> files;
    for (auto& [path, agent] : agents_) {
      if (silent_since(agent, path)) continue;
      if (agent.config_is_read && !is_told(settings_path(path)) && !is_told(logs_path(path)) &&
          !has_returned(agent, path) && !agent.files->config.mark.again) {
        continue;
      }
      paths.push_back(path);
      agents.push_back(&agent);
      files.push_back(agent.files);
    }
    const FileLimits limits{.size = kLongestConfig, .user = options_.user};
    const auto changed = ask(paths, [paths, files, limits, now = now_](std::size_t at) {
      const auto instar = open_instar(paths[at]);
      AgentFiles& mine = *files[at];
      bool others = identify(instar, mine.instar);
      others |= identify(Folder::open(logs_path(paths[at])), mine.logs);
      return mine.config.refresh(instar, "config.json", limits, now, parse_agent_config) || others;
    });
    bool any = false;
    for (std::size_t at = 0; at < paths.size(); ++at) {
      const bool was_read = std::exchange(agents[at]->config_is_read, changed[at].has_value());
      if (!changed[at] || (!*changed[at] && was_read && !has_returned(*agents[at], paths[at]))) continue;
      agents[at]->said.instar = files[at]->instar;
      agents[at]->said.logs = files[at]->logs;
      agents[at]->said.config = files[at]->config.good;
      agents[at]->said.problem = files[at]->config.problem;
      any = true;
    }
    return any;
  }

  [[nodiscard]] bool has_returned(const Known& agent, const std::string& path) const {
    return returned_.contains(path) || returned_.contains(agent.entry.path);
  }

  /// Identity, exclusion and gate of every agent: names have to be compared with each other.
  void decide_all() {
    decide_remarks_.clear();
    std::unordered_map<std::string, int> names;
    std::set<std::string> ids;
    for (auto& [path, agent] : agents_) {
      const std::string& own_name = agent.said.config ? agent.said.config->project_name : std::string();
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
      agent.decision = decide(own, agent.said.config ? &*agent.said.config : nullptr, options_.defaults);
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

  bool read_sessions(bool list) {
    std::vector<std::string> paths;
    std::vector<Known*> agents;
    std::vector<std::pair<std::shared_ptr<AgentFiles>, bool>> files;  // and whether the folder is to be listed
    for (auto& [path, agent] : agents_) {
      if (silent_since(agent, path)) continue;
      if (!agent.metered()) {
        agent.files->sessions = {};
        agent.said.sessions_folder = {};
        agent.said.sessions.clear();
        agent.said.remarks.clear();
        agent.sessions_are_read = false;
        continue;
      }
      const std::string folder = sessions_path(path);
      if (agent.sessions_are_read && !is_told(folder) && !has_returned(agent, path) &&
          !agent.files->sessions.unsettled()) {
        continue;
      }
      paths.push_back(path);
      agents.push_back(&agent);
      files.emplace_back(agent.files, list || to_list_.contains(folder));
    }
    const auto changed = ask(paths, [paths, files, user = options_.user, now = now_](std::size_t at) {
      const auto& [mine, list_this] = files[at];
      return mine->sessions.refresh(open_instar(paths[at]), list_this, user, now);
    });
    bool any = false;
    for (std::size_t at = 0; at < paths.size(); ++at) {
      const bool was_read = std::exchange(agents[at]->sessions_are_read, changed[at].has_value());
      if (!changed[at] || (!*changed[at] && was_read && !has_returned(*agents[at], paths[at]))) continue;
      agents[at]->said.sessions_folder = files[at].first->sessions.which();
      agents[at]->said.sessions = files[at].first->sessions.live();
      agents[at]->said.remarks = files[at].first->sessions.remarks();
      any = true;
    }
    return any;
  }

  void publish() {
    auto fleet = std::make_shared<Fleet>();
    std::set<WatchedFolder> folders;
    std::set<WatchedFolder> silent;
    for (const Home& home : homes_) {
      (is_silent(home.path) || !home.is_read ? silent : folders)
          .insert({settings_path(home.path), WatchedFolder::Holds::settings, home.instar});
      append(fleet->remarks, home.remarks);
      if (is_silent(home.path)) {
        fleet->remarks.push_back("home " + quoted(home.path) + ": " + silence(home.path) +
                                 "; its agents stay as they were known");
      }
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
      // To begin a watch takes the disk: not where it has not answered just now, be it that no reader was left to ask.
      const bool answers = agent->config_is_read && (!agent->metered() || agent->sessions_are_read);
      auto& theirs = fleet->agents.back().silent_since || !answers ? silent : folders;
      theirs.insert({settings_path(agent->identity.path), WatchedFolder::Holds::settings, agent->said.instar});
      if (agent->metered()) {
        theirs.insert(
            {sessions_path(agent->identity.path), WatchedFolder::Holds::sessions, agent->said.sessions_folder});
      }
      if (agent->decision.gate.ledger) {
        theirs.insert({logs_path(agent->identity.path), WatchedFolder::Holds::logs, agent->said.logs});
      }
    }
    fleet->folders.assign(folders.begin(), folders.end());
    fleet->silent.assign(silent.begin(), silent.end());
    if (left_out_) {
      fleet->remarks.push_back("the disks of " + std::to_string(FolderReaders::kMostHanging + 1) +
                               " folders do not answer: until one does no file is read");
    }
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

  [[nodiscard]] Agent describe(const Known& known) const {
    Agent agent;
    agent.identity = known.identity;
    agent.named_path = known.entry.path;
    agent.gate = known.decision.gate;
    agent.settings = known.decision.settings;
    agent.server_pid = known.entry.pid;
    agent.last_heartbeat = known.entry.last_heartbeat;
    agent.remarks = known.decision.remarks;
    append(agent.remarks, known.said.remarks);
    agent.live_sessions = without_ghosts(known.said.sessions, agent.remarks);
    if (known.said.config) agent.tmux_path = known.said.config->tmux_path;
    agent.config_readable = known.said.problem.empty();
    agent.silent_since = silent_since(known, known.identity.path);
    agent.reason = known.decision.reason;
    if (agent.silent_since) {
      agent.reason = "its folder cannot be read: " + silence(*agent.silent_since) +
                     "; what was known stays in force: " + known.decision.reason;
    } else if (!agent.config_readable) {
      agent.reason = "config.json: " + known.said.problem + "; " +
                     (known.said.config ? "the last good one stays in force: " : "") + known.decision.reason;
    }
    return agent;
  }

  static AgentAccess access_of(const Known& known) {
    if (!known.said.config) return {};
    return {known.said.config->token, known.said.config->port, known.said.config->project_name};
  }

  DiscoveryOptions options_;
  bool thorough_ = true;
  WallTime now_{};                    ///< of the refresh under way
  bool look_at_all_ = false;          ///< likewise
  std::set<std::string> to_look_at_;  ///< likewise
  std::set<std::string> to_list_;     ///< likewise
  FolderReaders readers_;
  std::map<std::string, WallTime> silent_;                   ///< places where a reader waits, since when
  std::set<std::string> returned_;                           ///< places that it has come back from, in this refresh
  bool left_out_ = false;                                    ///< there was no reader for all of the last refresh
  std::map<std::string, std::vector<std::string>> matches_;  ///< of globs
  Paths home_paths_;
  Paths agent_paths_;
  std::vector<Home> homes_;
  std::vector<Named> named_;
  bool too_many_ = false;
  std::map<std::string, Known> agents_;  ///< by real path
  std::vector<std::string> home_remarks_;
  std::vector<std::string> name_remarks_;
  std::vector<std::string> decide_remarks_;
  std::shared_ptr<const Fleet> fleet_;
};

std::string logs_folder(const AgentIdentity& agent) { return logs_path(agent.path); }

Discovery::Discovery(DiscoveryOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Discovery::~Discovery() = default;

std::shared_ptr<const Fleet> Discovery::refresh(Depth depth, WallTime now, const FolderNews& news) {
  return impl_->refresh(depth, now, news);
}

void Discovery::reconfigure(DiscoveryOptions options) { impl_->reconfigure(std::move(options)); }

}  // namespace fleetledger
