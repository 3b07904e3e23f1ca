#include "collector/discovery/roots.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "collector/discovery/tmux_name.h"
#include "config/values.h"
#include "core/sample.h"

namespace fleetledger {
namespace {

constexpr auto kHeartbeatSlack = std::chrono::seconds{60};

/// A process that was taken for an agent's server.
struct Server {
  Pid registered = 0;
  ProcessKey key;
  std::uint32_t source = 0;
};

struct SessionMemory {
  std::uint32_t source = 0;
  std::vector<ProcessKey> panes;  ///< taken at the last look
};

struct AgentMemory {
  std::uint32_t number = 0;
  std::optional<Server> server;
  std::map<std::string, SessionMemory> sessions;  ///< by id
};

/// A process that a source lays claim to.
struct Candidate {
  ProcessKey key;
  Claim claim;
  std::size_t agent = 0;
  const Session* session = nullptr;  ///< nullptr: the agent's server

  [[nodiscard]] std::string describe() const {
    return session == nullptr ? "its server" : "session " + quoted(session->id);
  }
};

/// What a table said of a pid; of a process that was not there only that.
struct Seen {
  Pid pid = 0;
  ProcessKey key;
  Pid parent = 0;
  Uid owner = 0;
  bool zombie = false;

  Seen(Pid asked, const ProcessReading* found) : pid(asked) {
    if (found != nullptr) {
      key = found->key;
      parent = found->parent;
      owner = found->owner;
      zombie = found->zombie;
    }
  }
  friend bool operator==(const Seen&, const Seen&) = default;
};

using PanesByName = std::unordered_map<std::string_view, std::vector<const Pane*>>;

PanesByName by_name(const std::vector<Pane>& panes) {
  PanesByName names;
  names.reserve(panes.size());
  for (const Pane& pane : panes) {
    if (!pane.dead) names[pane.session].push_back(&pane);
  }
  return names;
}

const std::vector<const Pane*>& panes_of(const Session& session, const PanesByName& names) {
  static const std::vector<const Pane*> kNone;
  if (session.tmux_session.empty()) return kNone;
  auto found = names.find(session.tmux_session);
  if (found == names.end()) found = names.find(name_in_tmux(session.tmux_session));
  return found == names.end() ? kNone : found->second;
}

/// Which of two claims to one process stands.
bool stands_before(const Fleet& fleet, const Candidate& a, const Candidate& b) {
  if (a.agent != b.agent) {
    const Agent& left = fleet.agents[a.agent];
    const Agent& right = fleet.agents[b.agent];
    if (left.last_heartbeat != right.last_heartbeat) return left.last_heartbeat > right.last_heartbeat;
    return left.identity.path < right.identity.path;
  }
  if (a.session == nullptr || b.session == nullptr) return a.session == nullptr && b.session != nullptr;
  if (a.session->superseded != b.session->superseded) return b.session->superseded;
  if (a.session->started_at != b.session->started_at) return a.session->started_at > b.session->started_at;
  return a.session->id < b.session->id;
}

}  // namespace

class RootResolver::Impl {
 public:
  explicit Impl(Uid user) : user_(user) {}

  ResolvedRoots resolve(const Fleet& fleet, const std::vector<Pane>& panes, const ProcessTable& table, WallTime now) {
    seen_.clear();
    depends_on_clock_ = false;
    ResolvedRoots resolved;
    const PanesByName names = by_name(panes);
    std::vector<Candidate> candidates;
    std::unordered_map<std::string, AgentMemory> memory;
    for (std::size_t index = 0; index < fleet.agents.size(); ++index) {
      const Agent& agent = fleet.agents[index];
      AgentMemory& known = memory[agent.identity.path];
      if (const auto before = memory_.find(agent.identity.path); before != memory_.end()) {
        known = std::move(before->second);
      } else {
        known.number = next_agent_++;
      }
      if (!agent.metered()) {
        known = {.number = known.number, .server = {}, .sessions = {}};
        continue;
      }
      resolved.metered.push_back({known.number, index});
      const auto remark = [&](std::string text) { resolved.remarks.emplace_back(agent.identity.id, std::move(text)); };
      if (const auto problem = find_server(agent, table, now, known); !problem.empty()) remark("server: " + problem);
      if (known.server) candidates.push_back({known.server->key, {known.number, known.server->source}, index, nullptr});
      find_panes(index, agent, names, table, known, candidates);
    }
    memory_ = std::move(memory);
    settle(fleet, candidates, resolved);
    add_tmux_servers(panes, table, resolved.roots);
    return resolved;
  }

  [[nodiscard]] bool still_holds(const ProcessTable& table) const {
    return !depends_on_clock_ && std::all_of(seen_.begin(), seen_.end(), [&table](const Seen& seen) {
      return seen == Seen(seen.pid, table.find(seen.pid));
    });
  }

 private:
  /// What the table says of a pid, which is kept for still_holds().
  const ProcessReading* see(const ProcessTable& table, Pid pid) {
    const ProcessReading* found = table.find(pid);
    if (seen_.empty() || seen_.back().pid != pid) seen_.emplace_back(pid, found);
    return found;
  }

  /// Sets known.server; why there is none, unless the registry says so itself.
  std::string find_server(const Agent& agent, const ProcessTable& table, WallTime now, AgentMemory& known) {
    const ProcessReading* process = agent.server_pid ? see(table, *agent.server_pid) : nullptr;
    if (process != nullptr && known.server && known.server->key == process->key) return {};
    known.server.reset();
    if (!agent.server_pid) return {};
    const std::string pid = "pid " + std::to_string(*agent.server_pid);
    if (process == nullptr || process->zombie) return pid + " of the registry is not running";
    if (process->owner != user_) return pid + " of the registry belongs to another user";
    if (!agent.last_heartbeat) return pid + " of the registry has no heartbeat that it could be checked against";
    const auto age = std::chrono::floor<std::chrono::milliseconds>(table.moment().boot - process->key.start);
    if (now - age > *agent.last_heartbeat + kHeartbeatSlack) {
      depends_on_clock_ = true;
      return pid + " of the registry started after the last heartbeat: it is another process";
    }
    known.server = Server{*agent.server_pid, process->key, next_source_++};
    return {};
  }

  void find_panes(std::size_t index, const Agent& agent, const PanesByName& names, const ProcessTable& table,
                  AgentMemory& known, std::vector<Candidate>& candidates) {
    std::map<std::string, SessionMemory> sessions;
    for (const Session& session : agent.live_sessions) {
      SessionMemory& now_known = sessions[session.id];
      const auto before = known.sessions.find(session.id);
      now_known.source = before != known.sessions.end() ? before->second.source : next_source_++;
      for (const Pane* pane : panes_of(session, names)) {
        const ProcessReading* process = see(table, pane->pid);
        if (process == nullptr) continue;
        const bool taken_before = before != known.sessions.end() &&
                                  std::find(before->second.panes.begin(), before->second.panes.end(), process->key) !=
                                      before->second.panes.end();
        // A pid of a list that has aged can be another process by now: tmux's own children are the panes.
        if (!taken_before && process->parent != pane->tmux_server) continue;
        now_known.panes.push_back(process->key);
        candidates.push_back({process->key, {known.number, now_known.source}, index, &session});
      }
    }
    known.sessions = std::move(sessions);
  }

  /// Gives each process to one of those who claim it.
  static void settle(const Fleet& fleet, const std::vector<Candidate>& candidates, ResolvedRoots& resolved) {
    std::unordered_map<ProcessKey, const Candidate*> winners;
    winners.reserve(candidates.size());
    resolved.roots.claims.reserve(candidates.size());
    std::vector<const Candidate*> standing;
    standing.reserve(candidates.size());
    for (const Candidate& candidate : candidates) {
      const Candidate*& winner = winners[candidate.key];
      if (winner == nullptr || stands_before(fleet, candidate, *winner)) winner = &candidate;
    }
    for (const Candidate& candidate : candidates) {
      const Candidate& winner = *winners.at(candidate.key);
      const Agent& agent = fleet.agents[candidate.agent];
      if (winner.claim != candidate.claim) {
        const std::string whose =
            winner.agent == candidate.agent ? "" : " of agent " + fleet.agents[winner.agent].identity.id;
        resolved.remarks.emplace_back(agent.identity.id, candidate.describe() + ": pid " +
                                                             std::to_string(candidate.key.pid) + " counts for " +
                                                             winner.describe() + whose);
        continue;
      }
      resolved.roots.claims.emplace(candidate.key, candidate.claim);
      standing.push_back(&candidate);
    }
    // One root a claim: of a session's panes the first.
    const auto by_claim = [](const Candidate* a, const Candidate* b) { return a->claim < b->claim; };
    const auto same_claim = [](const Candidate* a, const Candidate* b) { return a->claim == b->claim; };
    std::stable_sort(standing.begin(), standing.end(), by_claim);
    standing.erase(std::unique(standing.begin(), standing.end(), same_claim), standing.end());
    resolved.named.reserve(standing.size());
    for (const Candidate* root : standing) {
      const Session* session = root->session;
      resolved.named.push_back(
          NamedRoot{root->claim, root->agent,
                    session == nullptr ? std::string(kServerSource) : std::string(kSessionPrefix) + session->id,
                    root->key.pid, session == nullptr ? std::string() : session->name});
    }
  }

  void add_tmux_servers(const std::vector<Pane>& panes, const ProcessTable& table, Roots& roots) {
    for (const Pane& pane : panes) {
      const ProcessReading* server = see(table, pane.tmux_server);
      if (server == nullptr || server->owner != user_) continue;
      if (std::find(roots.tmux_servers.begin(), roots.tmux_servers.end(), server->key) == roots.tmux_servers.end()) {
        roots.tmux_servers.push_back(server->key);
      }
    }
  }

  Uid user_;
  std::uint32_t next_agent_ = 1;
  std::uint32_t next_source_ = kOrphans + 1;
  std::vector<Seen> seen_;                               ///< what the last answer rests on
  bool depends_on_clock_ = false;                        ///< and on nothing else, unless this is set
  std::unordered_map<std::string, AgentMemory> memory_;  ///< by the agent's path: those in the last fleet
};

RootResolver::RootResolver(Uid user) : impl_(std::make_unique<Impl>(user)) {}
RootResolver::~RootResolver() = default;

ResolvedRoots RootResolver::resolve(const Fleet& fleet, const std::vector<Pane>& panes, const ProcessTable& table,
                                    WallTime now) {
  return impl_->resolve(fleet, panes, table, now);
}

bool RootResolver::still_holds(const ProcessTable& table) const { return impl_->still_holds(table); }

}  // namespace fleetledger
