#include "collector/api/access.h"

#include <algorithm>
#include <map>

#include "collector/api/answers.h"
#include "collector/api/json_writer.h"
#include "collector/http/constant_time.h"

namespace fleetledger {
namespace {

constexpr std::string_view kSchemeOfTokens = "Bearer ";

tl::unexpected<Response> refuse(Response response) { return tl::unexpected<Response>(std::move(response)); }

Response no_token() {
  auto response = error_response(401, "Missing or invalid Authorization header");
  response.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="fleetledger")");
  return response;
}

Response mismatch(const std::string& expected) {
  JsonWriter json;
  json.object().field("error", "agent_id_mismatch").field("expected", expected).end();
  return json_response(403, json.take());
}

Response ambiguous(const std::vector<std::string_view>& ids) {
  JsonWriter json;
  json.object().field("error", "several agents have this name").key("ids").array();
  for (const auto id : ids) {
    json.value(id);
  }
  json.end().end();
  return json_response(409, json.take());
}

/// The header, unless it is empty: which counts as absent.
const std::string* named_agent(const Request& request) {
  return request.agent_id && !request.agent_id->empty() ? &*request.agent_id : nullptr;
}

/// What the caller sent, however long; nothing if it is no token at all.
std::optional<std::string_view> bearer_token(const Request& request) {
  if (!request.authorization || !request.authorization->starts_with(kSchemeOfTokens)) {
    return std::nullopt;
  }
  return std::string_view(*request.authorization).substr(kSchemeOfTokens.size());
}

}  // namespace

Response wrong_token() {
  auto response = error_response(403, "Invalid auth token");
  response.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="fleetledger", error="invalid_token")");
  return response;
}

std::string_view weakness(const AgentToken& token) {
  switch (token.kind) {
    case AgentToken::Kind::absent:
      return "its config has no authToken";
    case AgentToken::Kind::encrypted:
      return "its token is kept in an encrypted store that only the agent can read";
    case AgentToken::Kind::readable:
      break;
  }
  if (token.secret.reveal().size() < Access::kShortestToken) {
    return "its token is shorter than 16 bytes";
  }
  if (token.secret.reveal().size() > Access::kLongestToken) {
    return "its token is longer than 256 bytes";
  }
  return {};
}

Access::Access(const ApiKeys& keys, std::shared_ptr<const Fleet> fleet) : fleet_(std::move(fleet)), keys_(keys) {
  std::map<std::string_view, std::size_t> uses;
  for (const auto& access : fleet_->access) {
    ++uses[access.token.secret.reveal()];
  }
  for (const auto& access : fleet_->access) {
    auto why = weakness(access.token);
    if (why.empty() && access.token.secret == keys_.operators) {
      why = "its token is the operator's";
    } else if (why.empty() && access.token.secret == keys_.metrics) {
      why = "its token is the one for metrics";
    } else if (why.empty() && uses[access.token.secret.reveal()] > 1) {
      why = "another agent has the same token";
    }
    refusals_.push_back(why);
  }
}

tl::expected<Caller, Response> Access::caller_of(const Request& request) const {
  const auto token = bearer_token(request);
  if (!token) {
    return refuse(no_token());
  }
  const auto sent = *token;
  if (sent.size() > kLongestToken) {
    return refuse(wrong_token());
  }
  std::optional<Caller> caller;
  for (std::size_t agent = 0; agent < refusals_.size(); ++agent) {
    // Those that do not count are compared too, so that time does not tell how many do.
    const bool equal = equal_in_constant_time(sent, fleet_->access[agent].token.secret.reveal());
    if (equal && refusals_[agent].empty()) {
      caller = Caller{agent};
    }
  }
  if (equal_in_constant_time(sent, keys_.operators.reveal())) {
    caller = Caller{};
  }
  if (!caller) {
    return refuse(wrong_token());
  }
  return *caller;
}

std::optional<Response> Access::refuse_metrics(const Request& request) const {
  if (keys_.metrics_for_anyone) {
    return std::nullopt;
  }
  const auto sent = bearer_token(request);
  const bool right = sent && equal_in_constant_time(*sent, keys_.metrics.reveal());
  const auto caller = caller_of(request);
  if (right || (caller && !caller->agent)) {
    return std::nullopt;
  }
  return caller ? wrong_token() : caller.error();
}

bool Access::is_called(std::size_t agent, std::string_view name) const {
  const auto& identity = fleet_->agents[agent].identity;
  const auto& project = fleet_->access[agent].project_name;
  return name == identity.name || (!project.empty() && name == project);
}

tl::expected<std::size_t, Response> Access::agent_of(const Caller& caller, const Request& request,
                                                     const std::string* wanted) const {
  const auto names = [&](std::size_t agent, const std::string& name) {
    return fleet_->agents[agent].identity.id == name || is_called(agent, name);
  };
  const auto expected_name = [&](std::size_t agent) {
    const auto& project = fleet_->access[agent].project_name;
    return project.empty() ? fleet_->agents[agent].identity.name : project;
  };
  const auto* header = named_agent(request);
  if (caller.agent) {
    if (header != nullptr && !names(*caller.agent, *header)) {
      return refuse(mismatch(expected_name(*caller.agent)));
    }
    if (wanted != nullptr && !names(*caller.agent, *wanted)) {
      return refuse(wrong_token());
    }
    return *caller.agent;
  }

  const auto* name = wanted != nullptr ? wanted : header;
  if (name == nullptr) {
    return refuse(error_response(
        400, "name an agent: by the header X-Instar-AgentId, or ask for /agents/{id}/resources/... instead"));
  }
  std::vector<std::size_t> found;
  for (std::size_t agent = 0; agent < fleet_->agents.size(); ++agent) {
    if (fleet_->agents[agent].identity.id == *name) {
      found = {agent};
      break;
    }
    if (is_called(agent, *name)) {
      found.push_back(agent);
    }
  }
  if (found.empty()) {
    return refuse(error_response(404, "no such agent"));
  }
  if (found.size() > 1) {
    std::vector<std::string_view> ids;
    for (const auto agent : found) {
      ids.emplace_back(fleet_->agents[agent].identity.id);
    }
    return refuse(ambiguous(ids));
  }
  if (header != nullptr && !names(found.front(), *header)) {
    return refuse(mismatch(expected_name(found.front())));
  }
  return found.front();
}

}  // namespace fleetledger
