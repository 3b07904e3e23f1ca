#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <unistd.h>

#include "config/json.h"
#include "tests/e2e/host.h"
#include "tests/support/raw_client.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
using namespace fleetledger::test;

namespace {

constexpr const char* kMetricsToken = "metrics-token-0123456789";

Reply get(const std::string& address, const std::string& target, const std::string& token) {
  TestLoop loop;
  RawClient client(loop.get(), address);
  client.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n");
  std::optional<Reply> reply;
  loop.await([&] { return (reply = client.take_reply()).has_value(); });
  return *reply;
}

std::vector<std::smatch> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return {std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()};
}

/// What a scrape has: the families, and of each the labels of its series.
std::map<std::string, std::set<std::string>> families(const std::string& body) {
  std::map<std::string, std::set<std::string>> found;
  for (const auto& type : matches(body, "# TYPE (\\w+) (\\w+)")) {
    for (const char* suffix : {"", "_bucket", "_sum", "_count"}) {
      if (*suffix == '\0' || type[2] == "histogram") found[type[1].str() + suffix];
    }
  }
  for (const auto& series : matches(body, "(?:^|\n)(\\w+)\\{([^\n]*)\\} ")) {
    const auto labels = series[2].str();
    for (const auto& label : matches(labels, "(\\w+)=\"")) found[series[1]].insert(label[1]);
  }
  return found;
}

/// The queries of a dashboard and its variables, as rules that promtool can read.
std::string as_rules(const std::string& dashboard) {
  const auto document = JsonDocument::parse(dashboard);
  REQUIRE(document);
  std::string rules = "groups:\n  - name: dashboard\n    rules:\n";
  const auto panels = document->root().member("panels");
  int number = 0;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const auto targets = panels.element(i).member("targets");
    for (std::size_t j = 0; j < targets.size(); ++j) {
      const auto query = std::string(targets.element(j).member("expr").text().value());
      CHECK(query.find('\'') == std::string::npos);
      rules += "      - {record: 'query:" + std::to_string(number++) + "', expr: '" +
               std::regex_replace(query, std::regex("\\$window"), "10m") + "'}\n";
    }
  }
  REQUIRE(number > 10);
  return rules;
}

}  // namespace

TEST_CASE(
    "what the dashboard for Grafana and the alerts ask for is in a real scrape, and Prometheus can read all of it") {
  Host host;
  host.serve();
  host.configure(
      "http: {listen: [\"127.0.0.1:0\"], metrics_auth: token, metrics_sessions: 5}\n"
      "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  ServedAgent luna(host, "luna");
  host.tmux({"new-session", "-d", "-s", "luna-work", "sleep 1000"});
  host.write_session(luna.path, "work", "luna-work");
  host.register_agents({luna.entry()});
  const auto tokens = host.home() + "/.local/state/fleetledger";
  auto daemon = host.start({"run"});
  REQUIRE(daemon.complains("event=listening"));
  const auto log = daemon.errors();
  const auto at = log.find(" address=") + 9;
  const auto address = log.substr(at, log.find('\n', at) - at);
  const auto token = text_of_file(tokens + "/metrics.token").substr(0, 64);

  Reply scrape;
  REQUIRE(await([&] {
    scrape = get(address, "/metrics", token);
    return scrape.body.find("fleetledger_session_cpu_seconds_total{") != std::string::npos;
  }));
  CHECK(scrape.status == 200);
  CHECK(get(address, "/fleet/summary", token).status == 403);
  CHECK(get(address, "/metrics", kMetricsToken).status == 403);

  const auto save = [&](const std::string& name, const std::string& text) {
    std::ofstream(host / name) << text;
    return host / name;
  };
  const auto promtool = [&](const std::string& arguments, const std::string& input = "/dev/null") {
    auto program = host.start_program({"/bin/sh", "-c", "promtool " + arguments + " <" + input});
    const int code = program.exit_code();
    INFO(program.output() << program.errors());
    CHECK(code == 0);
  };
  promtool("check metrics", save("metrics.txt", scrape.body));
  const auto dashboard = text_of_file(GRAFANA_DASHBOARD);
  const auto alerts = text_of_file(ALERT_RULES);
  promtool("check rules " + save("dashboard.yaml", as_rules(dashboard)));
  promtool(std::string("check rules --lint-fatal ") + ALERT_RULES);
  promtool(std::string("test rules ") + ALERT_TESTS);

  const auto there = families(scrape.body);
  const std::set<std::string> of_prometheus{"job", "instance"};
  for (const auto& text : {std::regex_replace(dashboard, std::regex(R"(\\")"), "\""), alerts}) {
    for (const auto& asked : matches(text, R"(\b((?:fleetledger|process)_\w+)\b(?:\{([^}]*)\})?)")) {
      const auto name = asked[1].str();
      INFO(name);
      CHECK(there.contains(name));
      const auto matchers = asked[2].str();
      for (const auto& label : matches(matchers, R"((\w+)\s*(?:=~|!~|!=|=))")) {
        INFO(label[1]);
        const bool known = of_prometheus.contains(label[1]) || there.at(name).contains(label[1]);
        CHECK((known || name == "fleetledger_agent_rate_limit_events_total"));  // there was no event yet
      }
    }
  }

  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}
