#include "collector/api/api.h"

#include <utility>

#include "collector/api/answers.h"
#include "collector/api/routes.h"

namespace fleetledger {

Answer Api::answer(const Request& request, const ApiState& state) {
  if (!access_ || &access_->fleet() != state.fleet.get()) {
    access_ = std::make_shared<const Access>(keys_, state.fleet);
  }
  for (const auto& route : routes()) {
    const auto variables = route.match(request.path);
    if (!variables) {
      continue;
    }
    Call call{request, state, *access_};
    call.variables = *variables;
    if (route.who == Who::anyone) {
      return route.answer(call);
    }
    if (route.who == Who::metrics) {
      auto refusal = access_->refuse_metrics(request);
      return refusal ? Answer{std::move(*refusal)} : route.answer(call);
    }
    const auto caller = access_->caller_of(request);
    if (!caller) {
      return caller.error();
    }
    if (route.who == Who::operators) {
      return caller->agent ? Answer{wrong_token()} : route.answer(call);
    }
    call.caller = caller->agent;
    if (route.who == Who::callers && !caller->agent) {
      return route.answer(call);
    }
    const auto agent = access_->agent_of(*caller, request, variables->front());
    if (!agent) {
      return agent.error();
    }
    call.agent = *agent;
    return route.answer(call);
  }
  return error_response(404, "no such path; /openapi.json lists them");
}

}  // namespace fleetledger
