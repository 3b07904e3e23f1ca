#include "collector/agent_status.h"

namespace fleetledger {
namespace {

bool other_is_on(const Agent& agent, const LedgerStanding& standing, WallTime now) {
  return agent.metered() && standing.other_sampler && sampler_is_on(ledger_of(agent), *standing.other_sampler, now);
}

}  // namespace

AgentStatus status_with(const Agent& agent, const LedgerStanding& standing, WallTime now) {
  if (standing.yielding && other_is_on(agent, standing, now)) {
    return {AgentState::yielding, "its own sampler writes its ledger, so we do not until that is off"};
  }
  return {agent.state(), agent.reason};
}

bool metered_twice(const Agent& agent, const LedgerStanding& standing, WallTime now) {
  return other_is_on(agent, standing, now) && !standing.yielding;
}

std::string standing_remark(const Agent& agent, const LedgerStanding& standing, WallTime now) {
  if (!metered_twice(agent, standing, now)) {
    return {};
  }
  return "metered twice: its own sampler is on too; our samples go to " + standing.place;
}

}  // namespace fleetledger
