#include "collector/commands/survey.h"

#include <utility>
#include <uv.h>

#include "collector/host_sources.h"
#include "collector/loop/open_loop.h"

namespace fleetledger {

Survey survey_host(const Setup& setup, const Fleet& fleet) {
  Survey survey{fail("look at processes: not asked"), fail("list tmux panes: not asked")};
  uv_loop_t loop;
  if (auto opened = open_loop(&loop); !opened) {
    survey.processes = fail(std::move(opened.error()));
    return survey;
  }
  {
    auto sources = open_host_sources(&loop, setup.config.sampling, setup.places.tmux_socket_dir,
                                     [&] { return tmux_hints(fleet); });
    if (!sources) {
      survey.processes = fail(sources.error());
    } else {
      sources->processes->look([&](Result<ProcessTable> table) { survey.processes = std::move(table); });
      sources->panes->list([&](Result<std::vector<Pane>> panes) { survey.panes = std::move(panes); });
      uv_run(&loop, UV_RUN_DEFAULT);
    }
  }
  uv_run(&loop, UV_RUN_DEFAULT);  // until what the sources held is closed
  uv_loop_close(&loop);
  return survey;
}

LedgerSurvey survey_ledger(LedgerStore& store, const Agent& agent, WallTime now,
                           const std::map<std::string, std::string>& unavailable) {
  LedgerSurvey survey;
  survey.standing = store.standing(ledger_of(agent), now);
  survey.status = status_with(agent, survey.standing, now);
  if (!agent.gate.ledger) {
    return survey;
  }
  if (const auto newest = store.newest_sample(ledger_of(agent))) {
    survey.newest = *newest;
  } else {
    survey.status = {AgentState::unavailable, newest.error().text};
  }
  if (const auto told = unavailable.find(agent.identity.id); told != unavailable.end()) {
    survey.status = {AgentState::unavailable, told->second};
  }
  return survey;
}

}  // namespace fleetledger
