#include <cstdio>

#include "collector/api/json_writer.h"
#include "collector/commands/commands.h"
#include "collector/commands/report_view.h"
#include "collector/commands/setup.h"
#include "collector/commands/table.h"

namespace fleetledger {
namespace {

/// An agent, and the newest row of its ledger.
struct Listed {
  const Agent* agent = nullptr;
  AgentStatus status;
  std::optional<WallTime> newest;
};

std::vector<Listed> list(const Fleet& fleet, LedgerStore& store) {
  std::vector<Listed> listed;
  for (const auto& agent : fleet.agents) {
    listed.push_back({&agent, {agent.state(), agent.reason}, {}});
    if (!agent.gate.ledger) {
      continue;
    }
    const auto newest = store.newest_sample(ledger_of(agent));
    if (newest) {
      listed.back().newest = *newest;
    } else {
      listed.back().status = {AgentState::unavailable, newest.error().text};
    }
  }
  return listed;
}

std::string json_of(const std::vector<Listed>& listed) {
  JsonWriter json;
  json.object().key("agents").array();
  for (const auto& [agent, status, newest] : listed) {
    json.object()
        .field("id", agent->identity.id)
        .field("name", agent->identity.name)
        .field("path", agent->identity.path)
        .field("state", to_string(status.state))
        .field("reason", status.reason)
        .field("newestSampleTs", newest)
        .key("sessions")
        .array();
    for (const auto& session : agent->live_sessions) {
      json.object()
          .field("id", session.id)
          .field("name", session.name)
          .field("tmuxSession", session.tmux_session)
          .field("startedAt", session.started_at)
          .end();
    }
    json.end().end();
  }
  json.end().end();
  return json.take();
}

std::string text_of(const std::vector<Listed>& listed) {
  if (listed.empty()) {
    return "no agents found\n";
  }
  using Align = Table::Align;
  Table table({{"AGENT", Align::left, 30}, {"STATE"}, {"SESSIONS", Align::right}, {"NEWEST SAMPLE"}});
  std::string reasons;
  for (const auto& [agent, status, newest] : listed) {
    table.row({agent->identity.id, std::string(to_string(status.state)), std::to_string(agent->live_sessions.size()),
               newest ? utc_text(*newest) : "none"});
    if (!status.reason.empty()) {
      reasons += agent->identity.id + ": " + printable(status.reason) + '\n';
    }
  }
  return table.text() + (reasons.empty() ? "" : '\n' + reasons);
}

}  // namespace

int agents_command(const CommonArguments& common) {
  const auto setup = load_good_setup(common);
  if (!setup) {
    return kExitBadConfig;
  }
  const auto store = open_configured_store(*setup);
  if (!store) {
    return kExitFailed;
  }
  const auto fleet = read_fleet(*setup);
  const auto listed = list(*fleet, *store);
  const auto text = common.json ? json_of(listed) + '\n' : text_of(listed);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kExitOk;
}

}  // namespace fleetledger
