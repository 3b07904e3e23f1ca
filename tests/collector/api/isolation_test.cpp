#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "collector/api/routes.h"
#include "collector/http/server.h"
#include "tests/collector/api/api_fixture.h"
#include "tests/support/raw_client.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

/// Foreign text that stands in whatever is known of this agent, and nowhere else.
std::string marker_of(const std::string& name) { return "MARK-" + name + "-7f3a"; }

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

std::string in_lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string encoded(const std::string& text, const std::string& percent = "%") {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string all;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    all += c == '/' ? std::string("/") : percent + kDigits[byte >> 4U] + kDigits[byte & 15U];
  }
  return all;
}

/// Three agents with something to hide, one of which calls itself by another's id, behind the real server.
class Fleetful {
 public:
  Fleetful() {
    for (const std::string name : {"alpha", "beta", "mallory"}) {
      const auto agent = host.add(name);  // a copy: the vector moves
      host.fleet->agents.back().reason = marker_of(name);
      host.fleet->agents.back().remarks = {marker_of(name)};
      host.fleet->agents.back().live_sessions = {{marker_of(name), marker_of(name), marker_of(name), host.now, false}};
      host.fleet->access.back().project_name = "Project " + name;
      host.write(agent,
                 {{.ts = host.now, .source = "session:" + marker_of(name), .pid = 7, .cpu_percent = 1},
                  {.ts = host.now - std::chrono::minutes{1}, .source = "session:" + marker_of(name), .pid = 7}},
                 {{.id = "session-sentinel:" + marker_of(name),
                   .ts = host.now,
                   .kind = "throttle",
                   .source = "session-sentinel",
                   .account_key = marker_of(name),
                   .session_name = marker_of(name),
                   .reason = marker_of(name),
                   .detail = marker_of(name)}});
      AgentNow now;
      now.identity = agent.identity;
      now.metered = true;
      now.sources = {{.source = "session:" + marker_of(name), .session_name = marker_of(name), .pid = 7}};
      host.snapshot->agents.push_back(now);
      host.statuses[agent.identity.id] = {AgentState::sampling, marker_of(name)};
      Explanation explanation;
      explanation.pid = static_cast<Pid>(100 + host.fleet->agents.size());
      explanation.agent_id = agent.identity.id;
      explanation.agent_name = name;
      explanation.source = "session:" + marker_of(name);
      host.explanations[explanation.pid] = explanation;
      AgentMetrics metrics;
      metrics.counted.identity = agent.identity;
      metrics.shows_cpu = true;
      metrics.live_sessions = 1;
      metrics.ledger.error = Error{marker_of(name)};
      metrics.ledger.standing = LedgerStanding{.place = marker_of(name)};
      host.metrics.agents.push_back(metrics);
      ids.push_back(agent.identity.id);
      names.push_back(name);
    }
    host.fleet->access.back().project_name = ids[1];
    host.snapshot->ts = host.now;
    auto started =
        HttpServer::start(loop.get(), {.listen = {"127.0.0.1:0"}},
                          [this](const Request& request, const Responder& answer) { answer(host.ask(request)); });
    REQUIRE(started);
    server = std::move(*started);
  }

  struct Answer {
    int status = 0;
    std::string text;  ///< headers and body
  };

  /// Sends these bytes on a connection that is kept as long as the server keeps it. Nothing if it is closed unanswered.
  Answer ask(const std::string& bytes, bool head = false) {
    if (!client || client->ended()) {
      client.reset();
      client.emplace(loop.get(), server->bound_addresses().front());
    }
    client->send(bytes);
    std::optional<Reply> reply;
    loop.await([&] { return (reply = client->take_reply(head)).has_value() || client->ended(); });
    Answer answer;
    if (reply) {
      answer = {reply->status, reply->body};
      for (const auto& [name, value] : reply->headers) {
        answer.text += '\n' + name + ": " + value;
      }
      const auto connection = reply->headers.find("connection");
      if (head || (connection != reply->headers.end() && in_lower_case(connection->second) == "close")) {
        client.reset();
      }
    } else {
      answer.text = client->received();
    }
    ++asked;
    ++statuses[answer.status];
    return answer;
  }

  /// All targets that the routes make with all that could stand for their variables.
  [[nodiscard]] std::vector<std::string> targets() {
    std::vector<std::string> all;
    std::vector<std::string> agents = ids;
    agents.insert(agents.end(), names.begin(), names.end());
    agents.insert(agents.end(), {"Project%20beta", "BETA", "nobody", ".", "..", "*", "%00", "beta%00", "alpha,beta"});
    for (const auto& route : routes()) {
      const std::string path(route.path);
      for (const auto& agent : path.find("{id}") == std::string::npos ? std::vector<std::string>{""} : agents) {
        auto target = replaced(path, "{id}", agent);
        for (const auto& name : target.find("{eventId}") == std::string::npos ? std::vector<std::string>{""} : names) {
          auto whole = replaced(target, "{eventId}", "session-sentinel:" + marker_of(name));
          whole = replaced(whole, "{file}", "main.js");
          all.push_back(replaced(whole, "{pid}", "102"));
        }
      }
    }
    return all;
  }

  TestLoop loop;
  ApiFixture host;
  std::vector<std::string> ids;
  std::vector<std::string> names;
  std::size_t asked = 0;
  std::size_t pages_of_metrics = 0;
  std::map<int, std::size_t> statuses;
  std::unique_ptr<HttpServer> server;
  std::optional<RawClient> client;
};

struct Bearer {
  std::string token;
  std::string of;  ///< the agent whose it is; empty: nobody's
};

std::vector<Bearer> bearers() {
  return {{ApiFixture::token_of("alpha"), "alpha"},
          {ApiFixture::token_of("beta"), "beta"},
          {ApiFixture::token_of("mallory"), "mallory"},
          {kMetricsToken, ""},
          {"wrong-token-0123456789", ""},
          {"", ""}};
}

std::string request(const std::string& target, const std::string& token, const std::string& headers = {},
                    const std::string& method = "GET") {
  return method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" +
         (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + headers + "\r\n";
}

std::string all_of(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += ' ' + name;
  return text;
}

/// The agents of whom the answer says something that the request has not said itself.
std::set<std::string> betrayed(const Fleetful& fleet, const std::string& asked, const std::string& answer) {
  std::set<std::string> found;
  for (std::size_t i = 0; i < fleet.names.size(); ++i) {
    const bool named = in_lower_case(asked).find(fleet.names[i]) != std::string::npos;
    if (answer.find(marker_of(fleet.names[i])) != std::string::npos ||
        (!named && answer.find(fleet.ids[i]) != std::string::npos)) {
      found.insert(fleet.names[i]);
    }
  }
  return found;
}

/// Checks that this answer says nothing of agents that are not the bearer's. Quick: thousands of them are checked.
void check_silence(Fleetful& fleet, const Bearer& bearer, const std::string& bytes, bool head = false) {
  const auto answer = fleet.ask(bytes, head);
  // The metrics token reads the numbers of all agents, by their ids and names: that is what it is for. Nothing else.
  const bool metrics = bearer.token == kMetricsToken && answer.text.find("fleetledger_agents") != std::string::npos;
  fleet.pages_of_metrics += metrics ? 1U : 0U;
  auto found = betrayed(fleet, metrics ? bytes + all_of(fleet.names) : bytes, answer.text);
  found.erase(bearer.of);
  if (!found.empty()) {
    FAIL_CHECK("of " << *found.begin() << ": " << bytes << answer.text);
  }
}

}  // namespace

TEST_CASE("no token reads a byte of another agent, whatever route, method, header or path is tried") {
  Fleetful fleet;
  const auto targets = fleet.targets();

  // What is hidden is there: the operator finds it by the same routes, and each agent its own.
  std::map<std::string, std::size_t> seen;
  for (const auto& target : targets) {
    for (const auto& name : betrayed(fleet, "", fleet.ask(request(target, kOperatorToken)).text)) ++seen[name];
  }
  for (const auto& name : fleet.names) {
    CHECK(seen[name] >= 8);
    CHECK(betrayed(fleet, "", fleet.ask(request("/agents", ApiFixture::token_of(name))).text) ==
          std::set<std::string>{name});
  }
  const auto page = body_of(fleet.host.get("/agents/" + fleet.ids[1] + "/resources/samples?limit=1", kOperatorToken));
  const auto at = page.find("\"nextCursor\":\"");
  REQUIRE(at != std::string::npos);
  const auto cursor = page.substr(at + 14, page.find('"', at + 14) - at - 14);

  const auto beta = fleet.ids[1];
  const std::vector<std::function<std::string(const std::string&)>> tricks{
      [](const auto& target) { return target; },
      [](const auto& target) { return target + '/'; },
      [](const auto& target) { return '/' + target; },
      [](const auto& target) { return "/." + target; },
      [](const auto& target) { return "/x/.." + target; },
      [](const auto& target) { return "/agents/alpha/.." + target; },
      [](const auto& target) { return "/agents/alpha%2f.." + target; },
      [](const auto& target) { return '/' + replaced(target.substr(1), "/", "%2f"); },
      [](const auto& target) { return '/' + replaced(target.substr(1), "/", "%252F"); },
      [](const auto& target) { return '/' + replaced(target.substr(1), "/", "\\"); },
      [](const auto& target) { return encoded(target); },
      [](const auto& target) { return encoded(target, "%25"); },
      [](const auto& target) {
        auto upper = target;
        std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
        return upper;
      },
      [](const auto& target) { return target + ";id=beta"; },
      [](const auto& target) { return target + "%00"; },
      [](const auto& target) { return target + "#beta"; },
      [](const auto& target) { return "http://localhost" + target; },
      [](const auto& target) { return "http://beta@127.0.0.1:4100" + target; },
      [&](const auto& target) { return target + "?id=" + beta + "&agent=beta&id=alpha&X-Instar-AgentId=beta"; },
      [&](const auto& target) { return target + "?sinceHours=24&sinceHours=9&source=session:" + marker_of("beta"); },
      [&](const auto& target) { return target + "?cursor=" + cursor; },
      [](const auto& target) { return target + "?token=" + kOperatorToken + "&access_token=" + kOperatorToken; },
  };
  for (const auto& bearer : bearers()) {
    for (const auto& target : targets) {
      for (const auto& trick : tricks) check_silence(fleet, bearer, request(trick(target), bearer.token));
    }
  }

  const std::vector<std::string> headers{"X-Instar-AgentId: beta\r\n",
                                         "X-Instar-AgentId: " + beta + "\r\n",
                                         "x-instar-agentid: beta\r\n",
                                         "X-Instar-AgentId: alpha\r\nX-Instar-AgentId: beta\r\n",
                                         "X-Instar-AgentId: beta\r\nX-Instar-AgentId: alpha\r\n",
                                         "X-Instar-AgentId: alpha, beta\r\n",
                                         "X-Instar-AgentId: alpha\r\n beta\r\n",
                                         "X-Instar-AgentId : beta\r\n",
                                         "X_Instar_AgentId: beta\r\n",
                                         "X-Instar-AgentId:\r\n",
                                         "X-Instar-AgentId: ../beta\r\n",
                                         "X-Original-URL: /agents/beta\r\nX-Rewrite-URL: /agents/beta\r\n",
                                         "X-HTTP-Method-Override: GET\r\nX-Forwarded-For: 127.0.0.1\r\n",
                                         std::string("Authorization: Bearer ") + kOperatorToken + "x\r\n",
                                         std::string("Cookie: token=") + kOperatorToken + "\r\n",
                                         std::string("Proxy-Authorization: Bearer ") + kOperatorToken + "\r\n"};
  for (const auto& bearer : bearers()) {
    for (const auto& target : targets) {
      for (const auto& header : headers) check_silence(fleet, bearer, request(target, bearer.token, header));
      for (const auto* method :
           {"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"}) {
        check_silence(fleet, bearer, request(target, bearer.token, "", method), std::string(method) == "HEAD");
      }
    }
  }
  // One request may not bring another one with it.
  for (const auto& bearer : bearers()) {
    const auto inner = "GET /agents/beta HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (const auto& smuggled :
         std::vector<std::string>{std::string("Content-Length: 0\r\n\r\n") + inner,
                                  std::string("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n") + inner,
                                  std::string("X: y\n\n") + inner, std::string("X: y\r\r\n") + inner}) {
      check_silence(fleet, bearer, request("/agents", bearer.token, smuggled));
      fleet.client.reset();
    }
  }
  CHECK(fleet.asked > 10'000);
  CHECK(fleet.pages_of_metrics > 10);
  const auto page_of_metrics = fleet.ask(request("/metrics", kMetricsToken)).text;
  for (const auto& id : fleet.ids) CHECK(page_of_metrics.find(id) != std::string::npos);
  CHECK(fleet.statuses[200] > 100);  // not all of it was refused at the door
  CHECK(fleet.statuses[403] > 1'000);
  CHECK(fleet.statuses[404] > 1'000);
}
