#include <charconv>
#include <optional>

#include "collector/api/answers.h"
#include "collector/api/handlers.h"
#include "collector/api/json_writer.h"

namespace fleetledger {
namespace {

std::optional<std::string_view> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string_view>{text};
}

}  // namespace

std::string explanation_json(const Explanation& explanation) {
  JsonWriter json;
  json.object()
      .field("ts", explanation.ts)
      .field("oneLook", explanation.one_look)
      .field("pid", explanation.pid)
      .field("name", explanation.name)
      .field("uid", explanation.owner)
      .field("why", to_string(explanation.why))
      .field("agentId", unless_empty(explanation.agent_id))
      .field("agentName", unless_empty(explanation.agent_name))
      .field("source", unless_empty(explanation.source))
      .key("steps")
      .array();
  for (const auto& step : explanation.steps) {
    json.object()
        .field("pid", step.pid)
        .field("name", step.name)
        .field("why", to_string(step.why))
        .field("text", step.text)
        .end();
  }
  json.end().end();
  return json.take();
}

Answer answer_process(const Call& call) {
  Pid pid = 0;
  const auto& text = *call.variables[0];
  const auto read = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || pid <= 0) {
    return error_response(400, "no number of a process");
  }
  const auto explanation = call.state.explain(pid);
  return explanation ? json_response(200, explanation_json(*explanation))
                     : error_response(404, "no such process at the last look");
}

}  // namespace fleetledger
