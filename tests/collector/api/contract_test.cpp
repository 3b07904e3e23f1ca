#include <catch2/catch.hpp>
#include <rapidjson/document.h>
#include <rapidjson/schema.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include "collector/api/routes.h"
#include "tests/collector/api/api_fixture.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

using Json = rapidjson::Document;

const std::string kUnavailable = R"-({"error":"resource ledger unavailable (disabled or not initialized)"})-";

Json parse(const Response& response) {
  Json json;
  json.Parse(response.body.view().data(), response.body.view().size());
  INFO(body_of(response));
  REQUIRE_FALSE(json.HasParseError());
  return json;
}

/// Every field of the answer that its schema does not name.
std::string unnamed_fields(const rapidjson::Value& value, const rapidjson::Value& schema) {
  std::string unnamed;
  if (value.IsObject() && schema.HasMember("properties")) {
    for (const auto& member : value.GetObject()) {
      const char* name = member.name.GetString();
      unnamed += schema["properties"].HasMember(name) ? unnamed_fields(member.value, schema["properties"][name])
                                                      : std::string(name) + " ";
    }
  }
  if (value.IsArray() && schema.HasMember("items")) {
    for (const auto& item : value.GetArray()) {
      unnamed += unnamed_fields(item, schema["items"]);
    }
  }
  return unnamed;
}

/// Checks an answer against what /openapi.json says of its route and status.
void check_schema(std::string_view path, const Response& response) {
  static const Json kOpenApi = [] {
    Json json;
    json.Parse(openapi_json().c_str());
    return json;
  }();
  const auto& responses = kOpenApi["paths"][std::string(path).c_str()]["get"]["responses"];
  const auto status = std::to_string(response.status);
  CAPTURE(path, status, body_of(response));
  CHECK(header_of(response, "Content-Type") == "application/json");
  REQUIRE(responses.HasMember(status.c_str()));
  const auto& schema = responses[status.c_str()]["content"]["application/json"]["schema"];
  const rapidjson::SchemaDocument compiled(schema);
  rapidjson::SchemaValidator validator(compiled);
  const auto json = parse(response);
  const bool valid = json.Accept(validator);
  rapidjson::StringBuffer where;
  validator.GetInvalidDocumentPointer().StringifyUriFragment(where);
  INFO("at " << where.GetString());
  CHECK(valid);
  if (response.status == 200) {
    CHECK(unnamed_fields(json, schema).empty());
  }
}

/// Agents in every state, with rows and events where they can have some.
struct Host : ApiFixture {
  Host() {
    add("sampling").live_sessions = {{.id = "s1", .name = "<img src=x onerror=alert(1)>", .tmux_session = "t"}};
    add("off", {true, false});
    add("disabled", {false, false});
    const auto broken = add("unavailable").identity.id;
    statuses[broken] = {AgentState::unavailable, "open ledger: it is a link"};
    fleet->agents[0].remarks = {"a remark"};
    write(
        fleet->agents[0],
        {{.ts = now - std::chrono::minutes{5},
          .source = "agent-server",
          .pid = 7,
          .cpu_percent = 12.345,
          .resident = Bytes{1000},
          .heap = Bytes{10},
          .usage = Usage{Micros{1'500'000}},
          .interval = Micros{60'000'000},
          .processes = 3},
         {.ts = now - std::chrono::minutes{5}, .source = "aggregate", .cpu_percent = 12.345, .resident = Bytes{1000}}},
        {{.id = "circuit-breaker:1:0",
          .ts = now - std::chrono::hours{2},
          .kind = "circuit-open",
          .source = "circuit-breaker",
          .reason = "too many"},
         {.id = "session-sentinel:1:0",
          .ts = now - std::chrono::minutes{1},
          .kind = "throttle",
          .source = "session-sentinel",
          .session_name = "s1"}});
    for (const auto& agent : fleet->agents) {
      AgentNow seen;
      seen.identity = agent.identity;
      seen.metered = agent.metered();
      if (seen.metered) {
        seen.newest_row = now;
        seen.ledger = StoreLane::Health{.written = 1};
        seen.sources = {{.source = "agent-server", .pid = 7, .usage = Usage{Micros{5}}},
                        {.source = "session:s1", .session_name = "<b>", .pid = 8}};
      }
      snapshot->agents.push_back(seen);
    }
    std::sort(snapshot->agents.begin(), snapshot->agents.end(),
              [](const AgentNow& left, const AgentNow& right) { return left.identity.id < right.identity.id; });
    snapshot->ts = now;
    snapshot->host.interval = Micros{10'000'000};
    explanations[77] = {.pid = 77, .name = "<b>", .steps = {{.pid = 77, .name = "<b>", .text = "is nobody's"}}};
    snapshot->host.top_others = {{.name = "cc1plus", .usage = Usage{Micros{1}}}};
  }
};

const std::vector<std::string> kAgents{"sampling", "off", "disabled", "unavailable"};

/// Each path of the table, with this agent in the place of {id}.
std::string path_for(const Route& route, const std::string& agent) {
  std::string path(route.path);
  if (const auto at = path.find("{id}"); at != std::string::npos) {
    path.replace(at, 4, agent);
  }
  if (const auto at = path.find("{eventId}"); at != std::string::npos) {
    path.replace(at, 9, "session-sentinel:1:0");
  }
  if (const auto at = path.find("{file}"); at != std::string::npos) {
    path.replace(at, 6, "main.js");
  }
  if (const auto at = path.find("{pid}"); at != std::string::npos) {
    path.replace(at, 5, "77");
  }
  return path;
}

bool of_event(const Route& route) { return route.path.find("{eventId}") != std::string_view::npos; }

bool reads_ledger(const Route& route) {
  return route.path.find("/resources/") != std::string_view::npos || of_event(route);
}

}  // namespace

TEST_CASE("each route answers each caller about each state as the contract says") {
  Host host;
  struct Case {
    std::string caller;
    std::string token;
  };
  for (const auto& route : routes()) {
    for (const auto& agent : kAgents) {
      const auto other = agent == "sampling" ? "off" : "sampling";
      for (const auto& [caller, token] :
           {Case{"nobody", ""}, Case{"wrong", "wrong-token-0123456789"}, Case{"other", Host::token_of(other)},
            Case{"agent", Host::token_of(agent)}, Case{"metrics", kMetricsToken}, Case{"operator", kOperatorToken}}) {
        for (const std::string query : {"", "?sinceHours=0x2&limit=1&buckets=1", "?sinceHours=-1&limit=x&source=",
                                        "?sinceHours=1e999&limit=1e9&buckets=99999", "?limit=5&limit=6&x=%22%3C"}) {
          CAPTURE(route.path, agent, caller, query);
          const bool own_path = route.path.find("{id}") != std::string_view::npos;
          const auto header = caller == "operator" && !own_path ? std::optional{agent} : std::nullopt;
          const auto answer = host.get(path_for(route, agent) + query, token, header);

          // Another agent's token selects that other agent, where the path does not say which one is meant.
          const auto about = caller == "other" && !own_path ? other : agent;
          int expected = 200;
          if (route.who == Who::anyone) {
            expected = 200;
          } else if (caller == "nobody") {
            expected = 401;
          } else if (route.who == Who::metrics) {
            expected = caller == "operator" || caller == "metrics" ? 200 : 403;
          } else if (caller == "wrong" || caller == "metrics" ||
                     (route.who == Who::operators && caller != "operator") || (caller == "other" && own_path)) {
            expected = 403;
          } else if (reads_ledger(route) && (about == "disabled" || about == "unavailable")) {
            expected = 503;
          } else if (of_event(route) && about == "off") {
            expected = 404;  // the event is another agent's
          }
          CHECK(answer.status == expected);
          if (route.who == Who::metrics && expected == 200) {
            CHECK(header_of(answer, "Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
          } else if (!route.schema.empty()) {
            check_schema(route.path, answer);
          }
          if (route.path == "/agents" && expected == 200) {
            const auto listed = parse(answer);
            CHECK(listed["caller"] == (caller == "operator" ? "operator" : "agent"));
            CHECK(listed["agents"].Size() == (caller == "operator" ? 4U : 1U));
            CHECK((caller == "operator" || listed["agents"][0]["name"] == about.c_str()));
          }
          CHECK(header_of(answer, "WWW-Authenticate").empty() == (expected != 401 && expected != 403));
          if (expected == 503) {
            CHECK(body_of(answer) == kUnavailable);
          }
          // Nothing of the agent that was asked for, unless one may read it.
          if (expected == 401 || expected == 403) {
            CHECK(body_of(answer).find("sampling") == std::string::npos);
          }
        }
      }
    }
  }
}

TEST_CASE("where the configuration says so /metrics needs no token, and everything else still does") {
  Host host;
  host.metrics_for_anyone = true;
  for (const auto& token : {std::string(), std::string("wrong-token-0123456789"), Host::token_of("off")}) {
    CHECK(host.get("/metrics", token).status == 200);
  }
  CHECK(host.get("/agents").status == 401);
  CHECK(host.get("/agents", kMetricsToken).status == 403);
}

TEST_CASE("without a metrics token an empty one reads nothing") {
  Api api{{.operators = Secret(kOperatorToken)}};
  Host host;
  Request request;
  request.path = {"metrics"};
  request.authorization = "Bearer ";
  const auto answer = api.answer(request, {.fleet = host.fleet, .snapshot = host.snapshot});
  CHECK(std::get<Response>(answer).status == 403);
}

TEST_CASE("the operator asks of a process why it is charged where it is") {
  Host host;
  host.explanations[78] = {.ts = host.now,
                           .pid = 78,
                           .name = "no\xff",
                           .owner = 5,
                           .why = Attribution::parent,
                           .agent_id = "echo-1",
                           .agent_name = "echo",
                           .source = "session:s1",
                           .steps = {{78, "no", Attribution::parent, "was started by 7 (sh)"}}};
  CHECK(body_of(host.get("/processes/78", kOperatorToken)) ==
        R"-({"ts":1800000000000,"oneLook":false,"pid":78,"name":"no)-"
        "\xEF\xBF\xBD"
        R"-(","uid":5,"why":"parent","agentId":"echo-1","agentName":"echo","source":"session:s1",)-"
        R"-("steps":[{"pid":78,"name":"no","why":"parent","text":"was started by 7 (sh)"}]})-");
  CHECK(parse(host.get("/processes/77", kOperatorToken))["agentId"].IsNull());
  for (const auto& [target, status] : {std::pair{"/processes/79", 404},
                                       {"/processes/0", 400},
                                       {"/processes/-1", 400},
                                       {"/processes/77x", 400},
                                       {"/processes/99999999999", 400}}) {
    const auto answer = host.get(target, kOperatorToken);
    CHECK(answer.status == status);
    check_schema("/processes/{pid}", answer);
  }
}

TEST_CASE("an agent that is off answers with nothing, not with an error") {
  Host host;
  const auto token = Host::token_of("off");
  CHECK(body_of(host.get("/resources/summary", token)) ==
        R"({"windowHours":1,"sinceMs":1799996400000,"sampleCount":0,"sources":[]})");
  CHECK(body_of(host.get("/resources/samples", token)) ==
        R"({"windowHours":1,"sinceMs":1799996400000,"limit":200,"samples":[],"nextCursor":null})");
  CHECK(body_of(host.get("/resources/rate-limits", token)) ==
        R"({"windowHours":24,"summary":{"circuitOpenCount":0,"circuitRecoverCount":0,"sentinelCount":0,)"
        R"("totalEvents":0,"tripsPerHour":0,"oldestEventTs":null,"newestEventTs":null,"windowMs":86400000},)"
        R"("byKind":[],"events":[],"recoveries":[]})");
}

TEST_CASE("a path that is not in the table is not found") {
  Host host;
  for (const char* path : {"/dashboard", "/dashboard/", "/dashboard/none.js", "/dashboard/x/main.js", "/resources",
                           "/resources/summary/", "//resources/summary", "/agents/", "/fleet", "/resources/Summary",
                           "/agents/../fleet/summary", "/agents/sampling/resources"}) {
    CAPTURE(path);
    CHECK(host.get(path, kOperatorToken).status == 404);
  }
}

TEST_CASE("a collector that has not looked yet is alive, and not ready") {
  Host host;
  *host.snapshot = Snapshot{};
  CHECK(host.get("/healthz").status == 200);
  const auto ready = host.get("/readyz");
  CHECK(ready.status == 503);
  CHECK(body_of(ready) == R"({"error":"no look at the host yet"})");
  check_schema("/readyz", ready);
  const auto fleet = parse(host.get("/fleet/summary", kOperatorToken));
  CHECK(fleet["host"]["cpuSeconds"].IsNull());
  CHECK(fleet["agents"].Size() == 4);
  CHECK(fleet["agents"][0]["now"].IsNull());
}

TEST_CASE("the dashboard's files come with their types, may load nothing from elsewhere and need no token") {
  Host host;
  const std::map<std::string, std::string> types{{"/", "text/html; charset=utf-8"},
                                                 {"/dashboard/main.js", "text/javascript; charset=utf-8"},
                                                 {"/dashboard/dygraph.min.js", "text/javascript; charset=utf-8"},
                                                 {"/dashboard/style.css", "text/css; charset=utf-8"}};
  for (const auto& [path, type] : types) {
    CAPTURE(path);
    const auto answer = host.get(path);
    CHECK(answer.status == 200);
    CHECK(answer.body.view().size() > 100);
    CHECK(header_of(answer, "Content-Type") == type);
    CHECK(header_of(answer, "Content-Security-Policy").starts_with("default-src 'none'; script-src 'self'; "));
    CHECK(header_of(answer, "Content-Security-Policy").find("unsafe") == std::string::npos);
    CHECK(header_of(answer, "Referrer-Policy") == "no-referrer");
    CHECK(header_of(answer, "Cache-Control") == "no-cache");
    Request again;
    again.path = parse_target(path)->path;
    again.if_none_match = header_of(answer, "ETag");
    CHECK(host.ask(again).status == 304);
  }
}

TEST_CASE("the tokens themselves are in no answer") {
  Host host;
  for (const auto& route : routes()) {
    for (const auto& token : {Host::token_of("sampling"), std::string(kOperatorToken)}) {
      const auto body = body_of(host.get(path_for(route, "sampling"), token, "sampling"));
      CHECK(body.find("-token-") == std::string::npos);
    }
  }
}

TEST_CASE("pages follow each other through nextCursor, each row once") {
  Host host;
  const auto& agent = host.fleet->agents[1];
  std::vector<Sample> rows;
  for (int i = 0; i < 7; ++i) {
    for (const auto* source : {"agent-server", "aggregate", "session:a&b=c d:e"}) {
      rows.push_back({.ts = host.now - std::chrono::seconds{i}, .source = source, .pid = i});
    }
  }
  host.write(agent, rows);
  const auto token = Host::token_of("off");
  std::vector<std::pair<std::int64_t, std::string>> seen;
  std::string cursor;
  int pages = 0;
  do {
    std::string target = "/resources/samples?limit=4";
    if (!cursor.empty()) {
      std::string encoded;
      for (const char c : cursor) {
        encoded += c == '&' ? "%26" : c == '=' ? "%3D" : c == ' ' ? "+" : std::string(1, c);
      }
      target += "&cursor=" + encoded;
    }
    const auto page = parse(host.get(target, token));
    for (const auto& row : page["samples"].GetArray()) {
      seen.emplace_back(-row["ts"].GetInt64(), row["source"].GetString());
    }
    cursor = page["nextCursor"].IsNull() ? "" : page["nextCursor"].GetString();
    ++pages;
  } while (!cursor.empty() && pages < 20);
  CHECK(pages == 6);
  CHECK(seen.size() == rows.size());
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
}

TEST_CASE("a cursor that is none is refused: the first page again would be read for ever") {
  Host host;
  for (const char* cursor : {"x", "12", "12x:a", "99999999999999999999:a", "-:a", "%3Aa"}) {
    CAPTURE(cursor);
    const auto answer = host.get(std::string("/resources/samples?cursor=") + cursor, Host::token_of("sampling"));
    CHECK(answer.status == 400);
  }
  CHECK(host.get("/resources/samples?cursor=-9223372036854775808:a", Host::token_of("sampling")).status == 200);
  CHECK(host.get("/resources/samples?cursor=9223372036854775807:", Host::token_of("sampling")).status == 200);
}
