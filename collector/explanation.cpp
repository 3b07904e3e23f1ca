#include "collector/explanation.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/sample.h"

namespace fleetledger {
namespace {

/// A longer way up says no more to anybody.
constexpr std::size_t kMostSteps = 50;
constexpr Pid kInit = 1;
constexpr Pid kKernelThreads = 2;  // kthreadd, the parent of all of them

std::string described(const ProcessReading& process) {
  return std::to_string(process.key.pid) + " (" + std::string(process.name.view()) + ")";
}

class Explainer {
 public:
  explicit Explainer(const ExplainedLook& look) : look_(look) {}

  Explanation explain(std::size_t index) {
    const auto& process = look_.table.readings()[index];
    const auto& charge = look_.charges.processes[index];
    explanation_.pid = process.key.pid;
    explanation_.name = process.name.view();
    explanation_.owner = process.owner;
    explanation_.why = charge.why;
    if (charge.why != Attribution::nobody && charge.why != Attribution::collector) {
      name_claim(charge.claim);
    }
    walk_up(index);
    if (charge.why == Attribution::nobody && explanation_.steps.size() > 1) {
      add_what_else_could_have_said(index);
    }
    return std::move(explanation_);
  }

 private:
  struct Said {
    std::string text;
    bool goes_on = false;  ///< what is above it says the rest
  };

  void name_claim(const Claim& claim) {
    if (const auto* root = root_of(claim)) {
      explanation_.source = root->source;
    } else {
      explanation_.source = kOrphansSource;
    }
    for (const auto& metered : look_.resolved.metered) {
      if (metered.number == claim.agent) {
        explanation_.agent_id = look_.fleet.agents[metered.agent].identity.id;
        explanation_.agent_name = look_.fleet.agents[metered.agent].identity.name;
      }
    }
  }

  void walk_up(std::size_t index) {
    std::optional<std::size_t> at = index;
    while (at) {
      if (explanation_.steps.size() == kMostSteps) {
        return add(*at, "and so on: the rest of the way up is not shown");
      }
      const auto parent = parent_of(*at);
      const auto said = say(*at, parent);
      add(*at, said.text);
      at = said.goes_on ? parent : std::nullopt;
    }
  }

  void add(std::size_t index, std::string text) {
    const auto& process = look_.table.readings()[index];
    explanation_.steps.push_back(
        {process.key.pid, std::string(process.name.view()), look_.charges.processes[index].why, std::move(text)});
  }

  [[nodiscard]] Said say(std::size_t index, std::optional<std::size_t> parent) const {
    const auto& process = look_.table.readings()[index];
    const auto& charge = look_.charges.processes[index];
    const auto above = parent ? described(look_.table.readings()[*parent]) : std::string();
    switch (charge.why) {
      case Attribution::root:
        return {said_of_root(charge.claim)};
      case Attribution::parent:
        return {"was started by " + above, true};
      case Attribution::remembered:
        return {charge.claim.source == kOrphans
                    ? "is remembered: the session or server that it came from has ended, so it is one of the orphans"
                    : "is remembered: it has another parent now, and keeps the source that it had before"};
      case Attribution::environment:
        return {"would be nobody's, but names the agent in its environment (INSTAR_AGENT_HOME, INSTAR_AGENT_ID)"};
      case Attribution::collector:
        return look_.resolved.roots.collector == process.key.pid ? Said{"is the collector"}
                                                                 : Said{"was started by " + above, parent.has_value()};
      case Attribution::nobody:
        break;
    }
    return said_of_nobodys(process, parent);
  }

  [[nodiscard]] std::string said_of_root(const Claim& claim) const {
    const auto* root = root_of(claim);
    if (root == nullptr || root->source == kServerSource) {
      return "is the server of the agent: the registry names its pid";
    }
    auto text = "is a pane of session " + root->source.substr(kSessionPrefix.size());
    return root->session_name.empty() ? text : text + " (" + root->session_name + ")";
  }

  [[nodiscard]] Said said_of_nobodys(const ProcessReading& process, std::optional<std::size_t> parent) const {
    if (process.key.pid == kInit) {
      return {"is the first process: it adopts everybody's, so it hands nothing down"};
    }
    if (is_kernel_thread(process)) {
      return {"is a thread of the kernel"};
    }
    const auto& servers = look_.resolved.roots.tmux_servers;
    if (is_named_tmux_server(process) || std::find(servers.begin(), servers.end(), process.key) != servers.end()) {
      return {"is a tmux server: it serves everybody's sessions, so it hands nothing down"};
    }
    if (is_service_manager(process)) {
      return {"is a service manager: it starts what anybody asks for, so it hands nothing down"};
    }
    for (const auto& agent : look_.fleet.agents) {
      if (!agent.metered() && agent.server_pid == process.key.pid) {
        return {"is named in the registry as the server of agent " + agent.identity.id +
                ", which is not metered: " + agent.reason};
      }
    }
    if (!parent) {
      return {"has no parent that can be seen, and is no agent's server and no session's pane"};
    }
    const auto above = described(look_.table.readings()[*parent]);
    if (look_.charges.processes[*parent].why == Attribution::nobody) {
      return {"is no agent's server and no session's pane; its parent is " + above, true};
    }
    if (look_.scope == Scope::process) {
      return {"has the parent " + above + ", but with sampling.scope: process only roots count"};
    }
    return {"was adopted by " + above + ", or was seen first when it was old already: it stays nobody's"};
  }

  /// Of a process that is nobody's because those above it are.
  void add_what_else_could_have_said(std::size_t index) {
    const auto& process = look_.table.readings()[index];
    if (process.owner != look_.user) {
      add(index, "belongs to another user (uid " + std::to_string(process.owner) +
                     "), so its environment is not asked whose it is");
    } else if (look_.environment_asked && look_.environment_asked(process.key)) {
      add(index, "names no metered agent in its environment, or may not be asked");
    }
    if (process.key.start < look_.first_look) {
      add(index, "is older than the first look: who started it is not known if that process had ended before");
    }
  }

  /// Also of kthreadd itself. They alone have no memory and are root's.
  [[nodiscard]] static bool is_kernel_thread(const ProcessReading& process) {
    const bool theirs = process.key.pid == kKernelThreads || process.parent == kKernelThreads;
    return theirs && process.owner == 0 && process.resident == Bytes{0} && !process.zombie;
  }

  [[nodiscard]] std::optional<std::size_t> parent_of(std::size_t index) const {
    const auto& process = look_.table.readings()[index];
    return process.parent == process.key.pid ? std::nullopt : look_.table.index_of(process.parent);
  }

  [[nodiscard]] const NamedRoot* root_of(const Claim& claim) const {
    const auto& named = look_.resolved.named;
    const auto found =
        std::find_if(named.begin(), named.end(), [&](const NamedRoot& root) { return root.claim == claim; });
    return found == named.end() ? nullptr : &*found;
  }

  const ExplainedLook& look_;
  Explanation explanation_;
};

}  // namespace

std::optional<Explanation> explain(Pid pid, const ExplainedLook& look) {
  const auto index = look.table.index_of(pid);
  return index ? std::optional{Explainer(look).explain(*index)} : std::nullopt;
}

}  // namespace fleetledger
