#include "collector/api/routes.h"

#include <algorithm>
#include <utility>

#include "collector/api/answers.h"
#include "collector/api/handlers.h"
#include "collector/api/json_writer.h"
#include "collector/api/schemas.h"
#include "collector/dashboard/dashboard.h"

namespace fleetledger {
namespace {

constexpr std::string_view kPositive = R"({"type":"number","exclusiveMinimum":0})";

constexpr Parameter kLastHour{"sinceHours", kPositive, "how far to look back, in hours; default 1"};
constexpr Parameter kLastDay{"sinceHours", kPositive, "how far to look back, in hours; default 24"};
constexpr Parameter kSource{"source", R"({"type":"string"})", "of this source only"};
constexpr Parameter kLimit{"limit", R"({"type":"integer","minimum":1,"maximum":2000})",
                           "at most so many rows; default 200, at most 2000"};
constexpr Parameter kCursor{"cursor", R"({"type":"string"})", "nextCursor of the page before"};
constexpr Parameter kBuckets{"buckets", R"({"type":"integer","minimum":1,"maximum":1000})",
                             "points a source; default 200, at most 1000"};

Answer answer_alive(const Call&) { return json_response(200, R"({"status":"ok"})"); }

Answer answer_ready(const Call& call) {
  const bool looked = call.state.snapshot->ts != WallTime{};
  return looked ? json_response(200, R"({"status":"ready"})") : error_response(503, "no look at the host yet");
}

Answer answer_openapi(const Call&) {
  return Response{200, {{"Content-Type", "application/json"}}, Body::of_static(openapi_json())};
}

Answer answer_dashboard(const Call& call) {
  auto file = answer_dashboard_file(call.variables[0] == nullptr ? kDashboardPage : *call.variables[0], call.request);
  return file ? std::move(*file) : error_response(404, "the dashboard has no such file");
}

/// A new route is a row here and a function in handlers.h; the README's list follows from it.
std::vector<Route> make_routes() {
  return {
      {"/", Who::anyone, "the dashboard, a page for people", {}, {}, answer_dashboard},
      {"/dashboard/{file}", Who::anyone, "what that page loads", {}, {}, answer_dashboard},
      {"/resources/summary",
       Who::agents,
       "latest, average and peak of each source",
       {kLastHour},
       schemas::summary(),
       answer_summary},
      {"/resources/samples",
       Who::agents,
       "the newest rows",
       {kLastHour, kSource, kLimit, kCursor},
       schemas::samples(),
       answer_samples},
      {"/resources/rate-limits",
       Who::agents,
       "throttlings, and the breaker's openings",
       {kLastDay},
       schemas::rate_limits(),
       answer_rate_limits},
      {"/resources/trend",
       Who::agents,
       "least, average and peak in equal parts of the time",
       {kLastDay, kBuckets, kSource},
       schemas::trend(),
       answer_trend},
      {"/agents",
       Who::callers,
       "the agents that the token may read: their states and why, and what they use now",
       {},
       schemas::agents(),
       answer_agents},
      {"/agents/{id}",
       Who::agents,
       "one agent: its sources now, sessions, remarks, ledger",
       {},
       schemas::agent(),
       answer_agent},
      {"/agents/{id}/resources/summary",
       Who::agents,
       "as above, of this agent",
       {kLastHour},
       schemas::summary(),
       answer_summary},
      {"/agents/{id}/resources/samples",
       Who::agents,
       "as above, of this agent",
       {kLastHour, kSource, kLimit, kCursor},
       schemas::samples(),
       answer_samples},
      {"/agents/{id}/resources/rate-limits",
       Who::agents,
       "as above, of this agent",
       {kLastDay},
       schemas::rate_limits(),
       answer_rate_limits},
      {"/agents/{id}/resources/trend",
       Who::agents,
       "as above, of this agent",
       {kLastDay, kBuckets, kSource},
       schemas::trend(),
       answer_trend},
      {"/agents/{id}/rate-limits/{eventId}/context",
       Who::agents,
       "what ran in the five minutes before an event: for the operator on the whole host, for an agent its own",
       {},
       schemas::rate_limit_context(),
       answer_rate_limit_context},
      {"/fleet/summary",
       Who::operators,
       "the whole host: each agent now and in the time asked for, everything else, the collector",
       {kLastHour},
       schemas::fleet_summary(),
       answer_fleet_summary},
      {"/fleet/now",
       Who::operators,
       "the same as of the last look, without what the ledgers know: what `top` shows",
       {},
       schemas::fleet_now(),
       answer_fleet_now},
      {"/metrics", Who::metrics, "what Prometheus scrapes, as text; see Metrics", {}, {}, answer_metrics},
      {"/processes/{pid}",
       Who::operators,
       "why a process is charged where it is, or to nobody, at the last look",
       {},
       schemas::process(),
       answer_process},
      {"/healthz", Who::anyone, "200 while the collector runs", {}, schemas::status(), answer_alive},
      {"/readyz", Who::anyone, "200 after the first look, 503 before", {}, schemas::status(), answer_ready},
      {"/openapi.json", Who::anyone, "this table as OpenAPI 3.1", {}, schemas::openapi(), answer_openapi},
  };
}

std::string_view who_text(Who who) {
  switch (who) {
    case Who::anyone:
      return "anyone";
    case Who::agents:
    case Who::callers:
      return "the agent, the operator";
    case Who::metrics:
      return "`http.metrics_auth`";
    case Who::operators:
      break;
  }
  return "the operator";
}

/// "/agents/{id}" is {"agents", "{id}"}.
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  for (path.remove_prefix(1);;) {
    const std::size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) {
      return segments;
    }
    path.remove_prefix(slash + 1);
  }
}

std::string_view meaning_of(std::string_view variable) {
  if (variable == "{id}") {
    return "an agent's id, or its name while only one agent has it";
  }
  if (variable == "{eventId}") {
    return "an event's id, as /resources/rate-limits tells it";
  }
  return variable == "{pid}" ? "the number of a process" : "its name";
}

bool is_variable(std::string_view segment) { return segment.starts_with('{'); }

void write_parameter(JsonWriter& json, std::string_view where, const Parameter& parameter, bool required) {
  json.object()
      .field("name", parameter.name)
      .field("in", where)
      .field("required", required)
      .field("description", parameter.meaning)
      .key("schema")
      .raw(parameter.schema)
      .end();
}

void write_answer(JsonWriter& json, const char* status, std::string_view meaning, std::string_view schema) {
  json.key(status).object().field("description", meaning);
  if (schema.empty()) {
    json.end();
    return;
  }
  json.key("content").object();
  json.key("application/json").object().key("schema").raw(schema).end().end().end();
}

void write_route(JsonWriter& json, const Route& route) {
  json.key(route.path).object().key("get").object().field("summary", route.summary);
  json.key("security").array();
  if (route.who != Who::anyone) {
    json.object().key("bearer").array().end().end();
  }
  json.end().key("parameters").array();
  for (const auto segment : segments_of(route.path)) {
    if (is_variable(segment)) {
      write_parameter(json, "path",
                      {segment.substr(1, segment.size() - 2), R"({"type":"string"})", meaning_of(segment)}, true);
    }
  }
  if (route.who == Who::agents || route.who == Who::callers) {
    write_parameter(json, "header",
                    {"X-Instar-AgentId", R"({"type":"string"})",
                     "with an agent's token: must name it; with the operator's: the agent that is meant"},
                    false);
  }
  for (const auto& parameter : route.parameters) {
    write_parameter(json, "query", parameter, false);
  }
  json.end().key("responses").object();
  write_answer(json, "200", "the answer", route.schema);
  if (route.who != Who::anyone) {
    write_answer(json, "401", "no token", schemas::error());
    write_answer(json, "403", "a token that does not count here, or a header that names another agent",
                 schemas::error());
  }
  if (route.who == Who::agents) {
    write_answer(json, "400", "no agent is named, or a cursor is none", schemas::error());
    write_answer(json, "404", "the operator named an agent that there is not, or it has no such event",
                 schemas::error());
    write_answer(json, "409", "the operator named several agents: \"ids\" says which", schemas::error());
  }
  if (route.who == Who::operators && route.path.find('{') != std::string_view::npos) {
    write_answer(json, "400", "this can be no name of such a thing", schemas::error());
    write_answer(json, "404", "there is no such thing", schemas::error());
  }
  write_answer(json, "503", "not ready, the ledger is switched off or out of use, or too many ask at once",
               schemas::error());
  json.end().end().end();
}

std::string make_openapi() {
  JsonWriter json;
  json.object().field("openapi", "3.1.0");
  json.key("info").object().field("title", "fleetledger").field("version", "1").end();
  json.key("components").object().key("securitySchemes").object().key("bearer").object();
  json.field("type", "http").field("scheme", "bearer").end().end().end();
  json.key("paths").object();
  for (const auto& route : routes()) {
    write_route(json, route);
  }
  json.end().end();
  return json.take();
}

}  // namespace

std::optional<Variables> Route::match(const std::vector<std::string>& segments) const {
  const auto pattern = segments_of(path);
  if (pattern.size() != segments.size()) {
    return std::nullopt;
  }
  Variables variables{};
  std::size_t found = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (is_variable(pattern[i]) && !segments[i].empty()) {
      variables.at(found++) = &segments[i];
    } else if (pattern[i] != segments[i]) {
      return std::nullopt;
    }
  }
  return variables;
}

std::span<const Route> routes() {
  static const std::vector<Route> kRoutes = make_routes();
  return kRoutes;
}

const std::string& openapi_json() {
  static const std::string kText = make_openapi();
  return kText;
}

std::string routes_markdown() {
  std::string table = "| GET | who may | parameters | what it answers |\n|---|---|---|---|\n";
  for (const auto& route : routes()) {
    std::string names;
    for (const auto& parameter : route.parameters) {
      names.append(names.empty() ? "`" : ", `").append(parameter.name).append("`");
    }
    table.append("| `").append(route.path).append("` | ").append(who_text(route.who)).append(" | ");
    table.append(names).append(" | ").append(route.summary).append(" |\n");
  }
  return table;
}

}  // namespace fleetledger
