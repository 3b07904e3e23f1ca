#include <cstdio>

#include "collector/agent_status.h"
#include "collector/api/json_writer.h"
#include "collector/api/standing.h"
#include "collector/clock.h"
#include "collector/commands/commands.h"
#include "collector/commands/running_collector.h"
#include "collector/commands/setup.h"
#include "collector/commands/survey.h"
#include "collector/commands/table.h"
#include "config/values.h"

namespace fleetledger {
namespace {

struct Listed {
  const Agent* agent = nullptr;
  LedgerSurvey ledger;
};

std::vector<Listed> list(const Setup& setup, const Fleet& fleet, LedgerStore& store, WallTime now) {
  const auto unavailable = unavailable_agents(setup);
  std::vector<Listed> listed;
  for (const auto& agent : fleet.agents) {
    if (agent.silent_since) {  // nor would its ledger answer
      listed.push_back({&agent, {{agent.state(), agent.reason}, {}, {}}});
    } else {
      listed.push_back({&agent, survey_ledger(store, agent, now, unavailable)});
    }
  }
  return listed;
}

std::string json_of(const std::vector<Listed>& listed, WallTime now) {
  JsonWriter json;
  json.object().key("agents").array();
  for (const auto& [agent, ledger] : listed) {
    const auto& [status, standing, newest] = ledger;
    json.object()
        .field("id", agent->identity.id)
        .field("name", agent->identity.name)
        .field("path", agent->identity.path)
        .field("state", to_string(status.state))
        .field("reason", status.reason)
        .field("newestSampleTs", newest)
        .key("samplesAt");
    write_standing(json, *agent, &standing, now);
    json.key("sessions").array();
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

std::string text_of(const std::vector<Listed>& listed, WallTime now) {
  if (listed.empty()) {
    return "no agents found\n";
  }
  using Align = Table::Align;
  Table table({{"AGENT", Align::left, 30}, {"STATE"}, {"SESSIONS", Align::right}, {"NEWEST SAMPLE"}});
  std::string reasons;
  for (const auto& [agent, ledger] : listed) {
    const auto& [status, standing, newest] = ledger;
    table.row({agent->identity.id, std::string(to_string(status.state)), std::to_string(agent->live_sessions.size()),
               newest ? utc_text(*newest) : "none"});
    if (!status.reason.empty()) {
      reasons += agent->identity.id + ": " + printable(status.reason) + '\n';
    }
    if (const auto remark = standing_remark(*agent, standing, now); !remark.empty()) {
      reasons += agent->identity.id + ": " + printable(remark) + '\n';
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
  const auto now = system_clock().wall();
  const auto listed = list(*setup, *fleet, *store, now);
  const auto text = common.json ? json_of(listed, now) + '\n' : text_of(listed, now);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kExitOk;
}

}  // namespace fleetledger
