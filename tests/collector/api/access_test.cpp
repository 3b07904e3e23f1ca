#include "collector/api/access.h"

#include <catch2/catch.hpp>

#include "tests/collector/api/api_fixture.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

const std::string kWrongToken = R"({"error":"Invalid auth token"})";
const std::string kNoToken = R"({"error":"Missing or invalid Authorization header"})";

}  // namespace

TEST_CASE("a request without a proper Authorization is told so") {
  ApiFixture host;
  host.add("alpha");
  for (const char* sent : {"", "Bearer", "Basic abc", "bearer alpha-token-0123456789", "alpha-token-0123456789"}) {
    CAPTURE(sent);
    Request request;
    request.path = {"resources", "summary"};
    request.authorization = sent;
    const auto answer = host.ask(request);
    CHECK(answer.status == 401);
    CHECK(body_of(answer) == kNoToken);
    CHECK(header_of(answer, "WWW-Authenticate") == "Bearer realm=\"fleetledger\"");
  }
}

TEST_CASE("tokens that are nearly right are wrong") {
  ApiFixture host;
  host.add("alpha");
  const auto token = ApiFixture::token_of("alpha");
  for (const auto& sent : {token.substr(1), token + "x", token.substr(0, token.size() - 1), "A" + token.substr(1),
                           " " + token, token + token, std::string(300, 'x'), std::string(" ")}) {
    CAPTURE(sent);
    const auto answer = host.get("/resources/summary", sent);
    CHECK(answer.status == 403);
    CHECK(body_of(answer) == kWrongToken);
  }
  CHECK(host.get("/resources/summary", token).status == 200);
}

TEST_CASE("weak, equal, encrypted and missing tokens count as absent, with a reason") {
  ApiFixture host;
  host.add("short", {true, true}, ApiFixture::readable("fifteen-bytes.."));
  host.add("sixteen", {true, true}, ApiFixture::readable("sixteen-bytes..."));
  host.add("one", {true, true}, ApiFixture::readable("shared-token-0123456789"));
  host.add("two", {true, true}, ApiFixture::readable("shared-token-0123456789"));
  host.add("sealed", {true, true}, {AgentToken::Kind::encrypted, {}});
  host.add("boss", {true, true}, ApiFixture::readable(kOperatorToken));
  host.add("scraped", {true, true}, ApiFixture::readable(kMetricsToken));
  host.add("long", {true, true}, ApiFixture::readable(std::string(257, 'l')));
  host.add("none");
  host.fleet->access.back().token = {};
  host.add("good");

  const Access access({.operators = Secret(kOperatorToken), .metrics = Secret(kMetricsToken)}, host.fleet);
  const char* expected[] = {"its token is shorter than 16 bytes",
                            "",
                            "another agent has the same token",
                            "another agent has the same token",
                            "its token is kept in an encrypted store that only the agent can read",
                            "its token is the operator's",
                            "its token is the one for metrics",
                            "its token is longer than 256 bytes",
                            "its config has no authToken",
                            ""};
  for (std::size_t agent = 0; agent < host.fleet->agents.size(); ++agent) {
    CAPTURE(host.fleet->agents[agent].identity.name);
    CHECK(access.refusal(agent) == expected[agent]);
    const auto& token = host.fleet->access[agent].token.secret.reveal();
    if (!token.empty() && token != kOperatorToken) {
      CHECK(host.get("/resources/summary", token).status == (*expected[agent] == '\0' ? 200 : 403));
    }
  }
  // The operator's token stays the operator's.
  CHECK(host.get("/agents", kOperatorToken).status == 200);
  CHECK(host.get("/resources/summary", kOperatorToken).status == 400);
}

TEST_CASE("without an operator's token nobody is the operator") {
  ApiFixture host;
  host.operators = "";
  host.add("alpha");
  Request request;
  request.path = {"agents"};
  request.authorization = "Bearer ";
  CHECK(host.ask(request).status == 403);
}

TEST_CASE("tokens are those that the files have now") {
  ApiFixture host;
  host.add("alpha");
  Api api{{.operators = Secret(kOperatorToken)}};
  const auto ask = [&](const std::string& token) {
    Request request;
    request.path = {"agents", host.fleet->agents[0].identity.id};
    request.authorization = "Bearer " + token;
    const auto answer = api.answer(request, {.fleet = host.fleet,
                                             .snapshot = host.snapshot,
                                             .status_of = [](const Agent&) { return AgentStatus{}; },
                                             .metrics = {},
                                             .own_resident = {},
                                             .now = host.now});
    return std::get<Response>(answer).status;
  };
  CHECK(ask("alpha-token-0123456789") == 200);
  auto changed = std::make_shared<Fleet>(*host.fleet);
  changed->access[0].token = ApiFixture::readable("another-token-0123456789");
  host.fleet = changed;
  CHECK(ask("alpha-token-0123456789") == 403);
  CHECK(ask("another-token-0123456789") == 200);
}

TEST_CASE("with an agent's token X-Instar-AgentId must name that agent, whatever else is asked") {
  ApiFixture host;
  const auto id = host.add("alpha").identity.id;
  host.fleet->access[0].project_name = "Project Alpha";
  const auto disabled = host.add("beta", {false, false}).identity.id;
  const auto alpha = ApiFixture::token_of("alpha");
  for (const auto& name : {id, std::string("alpha"), std::string("Project Alpha"), std::string()}) {
    CAPTURE(name);
    CHECK(host.get("/resources/summary", alpha, name).status == 200);
  }
  for (const auto& name : {std::string("beta"), disabled, std::string("nobody"), std::string("Alpha")}) {
    CAPTURE(name);
    for (const auto* target :
         {"/resources/summary", "/resources/samples?cursor=bad", "/agents/beta", "/agents/zeta", "/agents"}) {
      CAPTURE(target);
      const auto answer = host.get(target, alpha, name);
      CHECK(answer.status == 403);
      CHECK(body_of(answer) == R"({"error":"agent_id_mismatch","expected":"Project Alpha"})");
    }
  }
  // Checked before the state of the ledger, as an agent's own server does it.
  CHECK(host.get("/resources/summary", ApiFixture::token_of("beta"), "alpha").status == 403);
  CHECK(host.get("/resources/summary", ApiFixture::token_of("beta"), "beta").status == 503);
}

TEST_CASE("who has no token learns nothing of which agents there are") {
  ApiFixture host;
  host.add("alpha");
  host.add("beta");
  for (const std::string path : {"/resources/summary", "/agents/alpha", "/agents/zeta", "/agents", "/fleet/summary",
                                 "/fleet/now", "/agents/beta/resources/samples"}) {
    CAPTURE(path);
    for (const std::string header : {"", "alpha", "beta", "zeta"}) {
      CAPTURE(header);
      const auto wrong = host.get(path, "wrong-token-0123456789", header);
      CHECK(wrong.status == 403);
      CHECK(body_of(wrong) == kWrongToken);
      const auto none = host.get(path, "", header);
      CHECK(none.status == 401);
      CHECK(body_of(none) == kNoToken);
    }
  }
}

TEST_CASE("an agent that asks for another one is told the same whether there is one or not") {
  ApiFixture host;
  host.add("alpha");
  const auto beta = host.add("beta").identity.id;
  const auto token = ApiFixture::token_of("alpha");
  for (const std::string name : {"beta", beta.c_str(), "zeta", "beta-00000000"}) {
    CAPTURE(name);
    for (const std::string rest : {"", "/resources/summary", "/resources/trend"}) {
      const auto answer = host.get("/agents/" + name + rest, token);
      CHECK(answer.status == 403);
      CHECK(body_of(answer) == kWrongToken);
    }
  }
  CHECK(host.reads == 0);
}

TEST_CASE("the operator names an agent by id, or by a name that only one has") {
  ApiFixture host;
  const auto alpha = host.add("alpha").identity.id;
  const auto first = host.add("twin").identity.id;
  const auto second = host.add("twin", {true, true}, ApiFixture::readable("second-twin-0123456789")).identity.id;
  host.add("odd");
  host.fleet->access.back().project_name = "alpha";  // what one calls itself is the other's registered name

  CHECK(host.get("/resources/summary", kOperatorToken, alpha).status == 200);
  CHECK(host.get("/agents/odd/resources/summary", kOperatorToken).status == 200);
  CHECK(host.get("/agents/" + second + "/resources/summary", kOperatorToken).status == 200);
  CHECK(host.get("/agents/nobody", kOperatorToken).status == 404);
  CHECK(host.get("/resources/summary", kOperatorToken, "nobody").status == 404);
  CHECK(host.get("/resources/summary", kOperatorToken).status == 400);
  for (const auto& answer : {host.get("/resources/summary", kOperatorToken, "twin"),
                             host.get("/agents/twin/resources/samples", kOperatorToken)}) {
    CHECK(answer.status == 409);
    CHECK(body_of(answer) ==
          R"({"error":"several agents have this name","ids":[")" + first + R"(",")" + second + R"("]})");
  }
  CHECK(host.get("/agents/alpha", kOperatorToken).status == 409);
  // A twin's own token says which of them is meant.
  CHECK(host.get("/agents/twin", "second-twin-0123456789").status == 200);
  // Path and header must agree.
  CHECK(host.get("/agents/odd", kOperatorToken, "twin").status == 403);
}
