#include <catch2/catch.hpp>
#include <cmath>
#include <rapidjson/document.h>

#include "collector/api/ledger_json.h"
#include "tests/collector/api/api_fixture.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

rapidjson::Document parse(const Response& response) {
  rapidjson::Document json;
  json.Parse(response.body.view().data(), response.body.view().size());
  REQUIRE_FALSE(json.HasParseError());
  return json;
}

std::int64_t micros(const rapidjson::Value& row) { return std::llround(row["cpuSeconds"].GetDouble() * 1e6); }

RoleTotals used(Micros usage, std::int64_t resident, std::uint32_t processes) {
  return {.usage = Usage{usage}, .resident = Bytes{resident}, .processes = processes};
}

}  // namespace

TEST_CASE("rate limits are counted and ordered as the agents' own server does it") {
  ApiFixture host;
  const auto& agent = host.add("alpha");
  const auto event = [&](const char* id, std::chrono::minutes before, const char* kind, const char* source) {
    return RateLimitEvent{.id = id, .ts = host.now - before, .kind = kind, .source = source};
  };
  auto told = event("c:1:0", 60min, "circuit-open", "circuit-breaker");
  told.account_key = "work";
  told.session_name = "s<1>";
  told.reason = "429";
  told.detail = "said \"no\"";
  host.write(agent, {},
             {told, event("c:2:0", 50min, "circuit-open", "circuit-breaker"),
              event("c:3:0", 40min, "circuit-recover", "circuit-breaker"),
              event("s:1:0", 30min, "throttle", "session-sentinel"),
              event("s:2:0", 25h + 0min, "throttle", "session-sentinel")});
  const auto ms = [&](std::chrono::minutes before) {
    return std::to_string((host.now - before).time_since_epoch().count());
  };
  const auto body = body_of(host.get("/resources/rate-limits?sinceHours=7", ApiFixture::token_of("alpha")));
  CHECK(body.starts_with(
      R"({"windowHours":7,"summary":{"circuitOpenCount":2,"circuitRecoverCount":1,"sentinelCount":1,"totalEvents":4,)"
      R"("tripsPerHour":0.29,"oldestEventTs":)" +
      ms(60min) + R"(,"newestEventTs":)" + ms(30min) + R"(,"windowMs":25200000},"byKind":[)" +
      R"({"kind":"circuit-open","source":"circuit-breaker","count":2,"firstTs":)" + ms(60min) + R"(,"lastTs":)" +
      ms(50min) + "}"));
  CHECK(body.ends_with(R"({"id":"c:1:0","ts":)" + ms(60min) +
                       R"(,"kind":"circuit-open","source":"circuit-breaker","accountKey":"work","sessionName":"s<1>",)"
                       R"("reason":"429","detail":"said \"no\"","limit":"unknown"}],"recoveries":[]})"));
}

TEST_CASE("a trend has the least, the average and the peak of each part of the time, and gaps where there is no row") {
  ApiFixture host;
  const auto& agent = host.add("alpha");
  const auto row = [&](std::chrono::minutes before, double cpu) {
    return Sample{.ts = host.now - before, .source = "aggregate", .cpu_percent = cpu, .resident = Bytes{100}};
  };
  host.write(agent, {row(119min, 10), row(118min, 30), row(0min, 5)});
  const auto trend = parse(host.get("/resources/trend?sinceHours=2&buckets=4", ApiFixture::token_of("alpha")));
  REQUIRE(trend["sources"].Size() == 1);
  const auto& points = trend["sources"][0]["points"];
  REQUIRE(points.Size() == 2);
  CHECK(points[0]["minCpuPercent"].GetDouble() == 10);
  CHECK(points[0]["avgCpuPercent"].GetDouble() == 20);
  CHECK(points[0]["peakCpuPercent"].GetDouble() == 30);
  CHECK(points[0]["cpuSeconds"].IsNull());
  CHECK(points[1]["rows"].GetInt() == 1);  // the newest row of all is in the last part
}

TEST_CASE("the CPU rows of the fleet's summary add up to the host's") {
  ApiFixture host;
  host.add("alpha");
  host.add("beta");
  host.add("off", {true, false});
  std::sort(host.fleet->agents.begin(), host.fleet->agents.end(),
            [](const Agent& left, const Agent& right) { return left.identity.id < right.identity.id; });
  for (const auto& agent : host.fleet->agents) {
    AgentNow now;
    now.identity = agent.identity;
    now.metered = agent.metered();
    if (agent.identity.name == "alpha") now.roles = {used(100ms, 10, 1), used(200ms, 20, 2), used(30ms, 3, 1)};
    if (agent.identity.name == "beta") now.roles = {used(1s, 5, 1), used(0s, 0, 0), used(7ms, 7, 2)};
    host.snapshot->agents.push_back(now);
  }
  AgentNow gone;
  gone.identity = {"zeta-00000000", "zeta", "/zeta"};
  gone.metered = true;
  gone.roles = {used(13ms, 1, 1), used(0s, 0, 0), used(0s, 0, 0)};
  host.snapshot->agents.push_back(gone);
  host.snapshot->ts = host.now;
  host.snapshot->processes = 321;
  host.snapshot->host = {
      .interval = 2s,
      .busy = Usage{3s},
      .agents = Usage{1350ms},
      .collector = Usage{20ms},
      .unattributed = Usage{40ms},
      .other = Usage{1600ms},
      .rounding = Usage{-10ms},
      .cpus = 2,
      .memory_total = Bytes{1000},
      .memory_available = Bytes{400},
      .top_others = {{.name = "cc1plus", .usage = Usage{1500ms}, .resident = Bytes{9}, .processes = 4}}};
  host.write(host.fleet->agents[0], {{.ts = host.now, .source = "aggregate", .cpu_percent = 50, .usage = Usage{4s}},
                                     {.ts = host.now - 1min, .source = "aggregate", .cpu_percent = 10},
                                     {.ts = host.now, .source = "agent-server", .cpu_percent = 99}});

  const auto fleet = parse(host.get("/fleet/summary", kOperatorToken));
  std::int64_t sum = micros(fleet["everythingElse"]) + micros(fleet["unattributed"]) + micros(fleet["rounding"]) +
                     micros(fleet["collector"]);
  for (const auto& agent : fleet["agents"].GetArray()) {
    sum += agent["now"].IsNull() ? 0 : micros(agent["now"]);
  }
  CHECK(sum == micros(fleet["host"]));
  CHECK(sum == 3'000'000);
  CHECK(fleet["host"]["cpuPercent"].GetDouble() == 150);
  CHECK(micros(fleet["orphans"]) == 37'000);
  CHECK(fleet["orphans"]["processes"].GetInt() == 3);
  CHECK(fleet["collector"]["rssBytes"].GetInt() == 77);
  CHECK(std::string(fleet["everythingElse"]["top"][0]["name"].GetString()) == "cc1plus");

  // The heaviest first, and one that has gone since the look as well.
  const auto& agents = fleet["agents"];
  REQUIRE(agents.Size() == 4);
  CHECK(std::string(agents[0]["name"].GetString()) == "beta");
  CHECK(std::string(agents[1]["name"].GetString()) == "alpha");
  CHECK(agents[1]["now"]["rssBytes"].GetInt() == 33);
  CHECK(micros(agents[1]["orphans"]) == 30'000);
  CHECK(std::string(agents[2]["state"].GetString()) == "gone");
  CHECK(agents[3]["now"].IsNull());
  CHECK(agents[1]["window"]["avgCpuPercent"].GetDouble() == 30);
  CHECK(agents[1]["window"]["peakCpuPercent"].GetDouble() == 50);
  CHECK(agents[1]["window"]["cpuSeconds"].GetDouble() == 4);
  CHECK(agents[0]["window"].IsNull());
}

TEST_CASE("what the fleet uses now needs no ledger, and names the heaviest sessions of all agents in one order") {
  ApiFixture host;
  host.store = std::make_unique<BrokenStore>(Error::Kind::unavailable);
  host.add("alpha");
  host.add("beta");
  std::sort(host.fleet->agents.begin(), host.fleet->agents.end(),
            [](const Agent& left, const Agent& right) { return left.identity.id < right.identity.id; });
  const auto session = [](const std::string& id, Micros usage, std::int64_t resident) {
    return SourceNow{"session:" + id, "name of " + id, 9, Usage{usage}, Bytes{resident}, 2};
  };
  AgentNow alpha;
  alpha.identity = host.fleet->agents[0].identity;
  alpha.metered = true;
  alpha.sources = {{.source = "agent-server", .usage = Usage{9s}},
                   {.source = "orphans", .usage = Usage{9s}},
                   session("light", 1ms, 1),
                   session("same-b", 5ms, 7),
                   session("same-a", 5ms, 7)};
  auto beta = alpha;
  beta.identity = host.fleet->agents[1].identity;
  beta.sources = {session("same-a", 5ms, 7), session("large", 5ms, 8), session("heavy", 1s, 0)};
  for (int i = 0; i < 9; ++i) {
    beta.sources.push_back(session("lightest" + std::to_string(i), 0ms, 0));
  }
  host.snapshot->agents = {alpha, beta};
  host.snapshot->host.interval = 2s;

  const auto now = parse(host.get("/fleet/now", kOperatorToken));
  CHECK(host.reads == 0);
  std::vector<std::string> order;
  for (const auto& heavy : now["heaviestSessions"].GetArray()) {
    order.push_back(heavy["agentName"].GetString() + std::string("/") + heavy["source"].GetString());
  }
  CHECK(order == std::vector<std::string>{"beta/session:heavy", "beta/session:large", "alpha/session:same-a",
                                          "alpha/session:same-b", "beta/session:same-a", "alpha/session:light",
                                          "beta/session:lightest0", "beta/session:lightest1", "beta/session:lightest2",
                                          "beta/session:lightest3"});
  const auto& first = now["heaviestSessions"][0];
  CHECK(std::string(first["agentId"].GetString()) == beta.identity.id);
  CHECK(std::string(first["sessionName"].GetString()) == "name of heavy");
  CHECK(first["cpuPercent"].GetDouble() == 50);
}

TEST_CASE("it is said where an agent's samples are, and that it is metered twice while its own sampler is on") {
  ApiFixture host;
  const auto& agent = host.add("alpha");
  const auto list = [&] { return parse(host.get("/agents", kOperatorToken)); };
  CHECK(list()["agents"][0]["samplesAt"].IsNull());
  AgentNow now;
  now.identity = agent.identity;
  now.ledger.emplace().standing = LedgerStanding{"/central/x", host.now - 1h, host.now - 10min, false};
  host.snapshot->agents.push_back(now);
  const auto check = [&](bool twice) {
    const auto page = parse(host.get("/agents/alpha", ApiFixture::token_of("alpha")));
    const auto all = list();
    for (const auto* at : {&page["samplesAt"], &all["agents"][0]["samplesAt"]}) {
      CHECK(std::string((*at)["place"].GetString()) == "/central/x");
      CHECK((*at)["centralSince"].GetInt64() == (host.now - 1h).time_since_epoch().count());
      CHECK((*at)["meteredTwice"].GetBool() == twice);
    }
    CHECK(page["remarks"].Size() == (twice ? 1 : 0));
  };
  check(true);
  host.snapshot->agents[0].ledger->standing->other_sampler = host.now - 11min;
  check(false);
  host.snapshot->agents[0].ledger->standing->other_sampler.reset();
  check(false);
  host.snapshot->agents[0].ledger->standing->other_sampler = host.now;
  host.fleet->agents[0].gate.sampling = false;
  check(false);
}

TEST_CASE("a ledger that is held is asked for again, one that cannot be read is unavailable") {
  struct Broken {
    Error::Kind kind;
    std::string retry;
  };
  for (const auto& [kind, retry] : {Broken{Error::Kind::busy, "1"}, Broken{Error::Kind::unavailable, ""}}) {
    ApiFixture host;
    host.add("alpha");
    host.store = std::make_unique<BrokenStore>(kind);
    for (const auto* target : {"/resources/summary", "/resources/samples", "/resources/rate-limits", "/resources/trend",
                               "/agents/alpha/rate-limits/x:1:0/context"}) {
      CAPTURE(target);
      const auto answer = host.get(target, ApiFixture::token_of("alpha"));
      CHECK(answer.status == 503);
      CHECK(body_of(answer) == R"-({"error":"resource ledger unavailable (disabled or not initialized)"})-");
      CHECK(header_of(answer, "Retry-After") == retry);
    }
    // The fleet's page says which ledger it is, and shows the others.
    const auto fleet = parse(host.get("/fleet/summary", kOperatorToken));
    CHECK(fleet["agents"][0]["window"].IsNull());
    CHECK(std::string(fleet["agents"][0]["ledgerError"].GetString()) == "read ledger: broken");
  }
}
