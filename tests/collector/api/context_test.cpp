#include <catch2/catch.hpp>
#include <rapidjson/document.h>

#include "collector/api/context_json.h"
#include "tests/collector/api/api_fixture.h"

using namespace fleetledger;
using namespace fleetledger::test;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

using Json = rapidjson::Document;

Json parse(const Response& response) {
  Json json;
  INFO(body_of(response));
  json.Parse(response.body.view().data(), response.body.view().size());
  REQUIRE_FALSE(json.HasParseError());
  return json;
}

/// Three agents that ran before mine was throttled: who ate the limit is hog. Names and texts of the others are such
/// that they are found in an answer if they are there.
struct Throttled : ApiFixture {
  WallTime then = now - minutes{30};
  std::string id = "session-sentinel:1799998200000:0";

  Throttled() {
    add("mine").live_sessions = {{.id = "m1", .name = "my build", .tmux_session = "t"}};
    add("hog").live_sessions = {{.id = "h1", .name = "secret-plan", .tmux_session = "t"}};
    add("quiet", {true, false});
    write(
        fleet->agents[0], {row("agent-server", 300, 2), row("session:m1", 300, 30), row("session:m2", 60, 12)},
        {limit(id, "throttle", "ada"), limit("session-sentinel:1799998200000:1", "529", "default", "earlier of mine")});
    write(fleet->agents[1], {row("session:h1", 300, 290), row("session:h2", 300, 100)},
          {limit("circuit-breaker:1799998190000:0", "circuit-open", "ada", "secret-reason"),
           limit("circuit-breaker:1799998190000:1", "quota", "default", "secret-too"),
           limit("circuit-breaker:1799998190000:2", "quota", "secret-account")});
  }

  [[nodiscard]] Sample row(const std::string& source, int length, int cpu) const {
    return {.ts = then, .source = source, .usage = Usage{seconds{cpu}}, .interval = seconds{length}};
  }
  [[nodiscard]] RateLimitEvent limit(const std::string& event_id, const std::string& kind, const std::string& account,
                                     std::optional<std::string> reason = {}) const {
    return {.id = event_id,
            .ts = then - (event_id == id ? seconds{0} : seconds{10}),
            .kind = kind,
            .source = std::string(kSentinelEvents),
            .account_key = account,
            .session_name = "m1",
            .reason = std::move(reason)};
  }
  [[nodiscard]] std::string path(const std::string& agent, const std::string& event_id) const {
    return "/agents/" + agent + "/rate-limits/" + event_id + "/context";
  }
};

std::string names(const rapidjson::Value& list) {
  std::string names;
  for (const auto& item : list.GetArray()) {
    names += std::string(item["agentName"].GetString()) + " ";
  }
  return names;
}

}  // namespace

TEST_CASE("the operator is told who ate the limit: every agent's sessions by name, who used most first") {
  Throttled host;
  const auto json = parse(host.get(host.path("mine", host.id), kOperatorToken));
  CHECK(json["agentName"] == "mine");
  CHECK(json["scope"] == "host");
  CHECK(json["event"]["id"] == host.id.c_str());
  CHECK(json["event"]["limit"] == "server");
  CHECK(json["untilMs"].GetInt64() - json["sinceMs"].GetInt64() == 300'000);
  CHECK(json["windowMs"].GetInt64() == 300'000);
  CHECK(json["allAgents"]["cpuSeconds"].GetDouble() == 434);
  CHECK(json["allAgents"]["agents"].GetInt() == 2);
  CHECK(json["allAgents"]["liveSessions"].GetInt() == 4);
  CHECK(json["allAgents"]["otherEvents"].GetInt() == 4);
  CHECK(json["allAgents"]["notRead"].GetInt() == 0);
  CHECK(names(json["agents"]) == "hog mine ");
  CHECK(json["agents"][1]["cpuSeconds"].GetDouble() == 44);
  CHECK(json["agents"][1]["liveSessions"].GetInt() == 2);
  CHECK(names(json["sources"]) == "hog hog mine mine mine ");
  CHECK(json["sources"][0]["source"] == "session:h1");
  CHECK(json["sources"][0]["sessionName"] == "secret-plan");
  CHECK(json["sources"][0]["cpuSeconds"].GetDouble() == 290);
  CHECK(json["sources"][0]["measuredMs"].GetInt() == 300'000);
  CHECK(json["sources"][1]["sessionName"].IsNull());  // it has ended
  CHECK(json["sources"][3]["source"] == "session:m2");
  CHECK(json["sources"][3]["measuredMs"].GetInt() == 60'000);
  CHECK(json["sourcesLeftOut"].GetInt() == 0);
  CHECK(json["notRead"].Empty());
}

TEST_CASE("to the operator accounts are the same where the key is the same and known") {
  Throttled host;
  const auto json = parse(host.get(host.path("mine", host.id), kOperatorToken));
  std::map<std::string, std::string> same;
  for (const auto& event : json["otherEvents"].GetArray()) {
    const auto& told = event["sameAccount"];
    same[event["id"].GetString()] = told.IsNull() ? "unknown" : told.GetBool() ? "yes" : "no";
  }
  CHECK(same == std::map<std::string, std::string>{{"circuit-breaker:1799998190000:0", "yes"},
                                                   {"circuit-breaker:1799998190000:1", "unknown"},
                                                   {"circuit-breaker:1799998190000:2", "no"},
                                                   {"session-sentinel:1799998200000:1", "unknown"}});
  REQUIRE(json["sharedAccounts"].Size() == 1);
  CHECK(json["sharedAccounts"][0]["accountKey"] == "ada");
  CHECK(names(json["sharedAccounts"][0]["agents"]) == "mine hog ");

  // Two that are not known: neither the same nor shared.
  const auto unknown = parse(host.get(host.path("hog", "circuit-breaker:1799998190000:1"), kOperatorToken));
  for (const auto& event : unknown["otherEvents"].GetArray()) {
    CHECK(event["sameAccount"].IsNull());
  }
  CHECK(unknown["event"]["limit"] == "account");
}

TEST_CASE("an agent's own token reads its own sessions, and of all others sums without names") {
  Throttled host;
  host.statuses[host.fleet->agents[2].identity.id] = {AgentState::unavailable, "secret-place"};
  const auto answer = host.get(host.path("mine", host.id), Throttled::token_of("mine"));
  REQUIRE(answer.status == 200);
  for (const auto* foreign : {"hog", "secret", "h1", "h2", "quiet"}) {
    CAPTURE(foreign);
    CHECK(body_of(answer).find(foreign) == std::string::npos);
  }
  const auto json = parse(answer);
  CHECK(json["scope"] == "agent");
  CHECK(json["allAgents"]["cpuSeconds"].GetDouble() == 434);
  CHECK(json["allAgents"]["liveSessions"].GetInt() == 4);
  CHECK(json["allAgents"]["otherEvents"].GetInt() == 4);
  CHECK(json["allAgents"]["notRead"].GetInt() == 1);
  CHECK(names(json["agents"]) == "mine ");
  CHECK(names(json["sources"]) == "mine mine mine ");
  CHECK(json["sources"][0]["sessionName"] == "my build");
  CHECK(names(json["otherEvents"]) == "mine ");
  CHECK(json["sharedAccounts"].IsNull());
  CHECK(json["notRead"].Empty());

  // Events of others are none of it, whatever it is asked for.
  CHECK(host.get(host.path("mine", "circuit-breaker:1799998190000:0"), Throttled::token_of("mine")).status == 404);
  CHECK(host.get(host.path("hog", "circuit-breaker:1799998190000:0"), Throttled::token_of("mine")).status == 403);
}

TEST_CASE("an event's id may be percent-encoded or not, and hold what separates elsewhere") {
  Throttled host;
  const std::string odd = "a/b?c=d&e%f g:\"<é>";
  host.write(host.fleet->agents[0], {}, {host.limit(odd, "throttle", "default")});
  for (const auto& [target, id] : {std::pair{host.id, host.id},
                                   {std::string("session-sentinel%3A1799998200000%3a0"), host.id},
                                   {std::string("a%2Fb%3Fc%3Dd%26e%25f%20g:%22%3C%C3%A9%3E"), odd}}) {
    CAPTURE(target);
    const auto answer = host.get(host.path("mine", target) + "?unknown=1", kOperatorToken);
    REQUIRE(answer.status == 200);
    CHECK(parse(answer)["event"]["id"] == id.c_str());
  }
  for (const auto* none : {"session-sentinel:1799998200000", "session-sentinel:1799998200000:00", "x", "%20", "'--",
                           "Session-Sentinel:1799998200000:0"}) {
    CAPTURE(none);
    const auto answer = host.get(host.path("mine", none), kOperatorToken);
    CHECK(answer.status == 404);
    CHECK(body_of(answer) == R"({"error":"no such event"})");
  }
  CHECK(host.get(host.path("nobody", host.id), kOperatorToken).status == 404);
  CHECK(body_of(host.get("/agents/mine/rate-limits//context", kOperatorToken)).find("no such path") !=
        std::string::npos);
}

TEST_CASE("agents whose ledgers are not read are named to the operator, with the reason") {
  Throttled host;
  host.fleet->agents[2].gate.ledger = false;
  host.statuses[host.fleet->agents[1].identity.id] = {AgentState::unavailable, "it is a link"};
  const auto json = parse(host.get(host.path("mine", host.id), kOperatorToken));
  CHECK(names(json["notRead"]) == "hog quiet ");
  CHECK(json["notRead"][0]["reason"] == "its ledger is out of use: it is a link");
  CHECK(json["notRead"][1]["reason"] == "its ledger is switched off: as the test wants it");
  CHECK(json["allAgents"]["notRead"].GetInt() == 2);
  CHECK(json["allAgents"]["cpuSeconds"].GetDouble() == 44);
  CHECK(names(json["sources"]) == "mine mine mine ");
  CHECK(names(json["otherEvents"]) == "mine ");
}

TEST_CASE("a context, which reads all ledgers, was said to read none, and no hanging one held it back") {
  Throttled host;
  CHECK(host.get(host.path("mine", host.id), Throttled::token_of("mine")).status == 200);
  CHECK(host.read_of == StoreRead::kAllLedgers);
}

TEST_CASE("where the agent's own ledger cannot be read there is no context") {
  for (const auto& [kind, retry] : {std::pair{Error::Kind::busy, "1"}, {Error::Kind::unavailable, ""}}) {
    Throttled host;
    host.store = std::make_unique<BrokenStore>(kind);
    for (const auto& token : {Throttled::token_of("mine"), std::string(kOperatorToken)}) {
      const auto answer = host.get(host.path("mine", host.id), token);
      CHECK(answer.status == 503);
      CHECK(header_of(answer, "Retry-After") == retry);
    }
  }
}

TEST_CASE("an answer is bounded, and says how much it leaves out") {
  Throttled host;
  std::vector<Sample> rows;
  std::vector<RateLimitEvent> events;
  for (int i = 0; i < 700; ++i) {
    rows.push_back(host.row("session:many" + std::to_string(i), 60, 1));
  }
  for (int i = 0; i < 150; ++i) {
    events.push_back(host.limit("x:" + std::to_string(i), "throttle", "default"));
  }
  host.write(host.fleet->agents[2], rows, events);
  host.write(host.fleet->agents[1], {}, events);
  const auto json = parse(host.get(host.path("mine", host.id), kOperatorToken));
  CHECK(json["sources"].Size() == kMostContextSources);
  CHECK(json["sourcesLeftOut"].GetInt() == 705 - static_cast<int>(kMostContextSources));
  CHECK(json["sources"][0]["source"] == "session:h1");
  CHECK(json["otherEvents"].Size() == kMostContextEvents);
  CHECK(json["otherEventsLeftOut"].GetInt() == 304 - static_cast<int>(kMostContextEvents));
  CHECK(json["allAgents"]["liveSessions"].GetInt() == 704);
}
