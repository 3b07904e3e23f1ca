#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sys/stat.h>

#include "tests/e2e/json.h"
#include "tests/e2e/served.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
using namespace fleetledger::test;

namespace {

const std::string kRoot = FLEETLEDGER_SOURCE_DIR;
const std::string kAlerts = kRoot + "/config/prometheus-alerts.yaml";
const std::string kAlertTests = kRoot + "/tests/config/prometheus-alerts.test.yaml";
const std::string kDashboard = kRoot + "/config/grafana-dashboard.json";

using Labels = std::map<std::string, std::string>;

/// The series of a page by their names.
using Page = std::multimap<std::string, Labels>;

Page parse_page(const std::string& text) {
  static const std::regex kLine(R"re(([a-zA-Z_]+)(?:\{(.*)\})? [-+.0-9e]+)re");
  static const std::regex kLabel(R"re(([a-z_]+)="((?:[^"\\]|\\.)*)")re");
  Page page;
  for (const auto& line : lines_of(text)) {
    std::smatch found;
    if (line.starts_with('#')) {
      continue;
    }
    CAPTURE(line);
    REQUIRE(std::regex_match(line, found, kLine));
    Labels labels;
    const std::string inside = found[2];
    for (std::sregex_iterator label(inside.begin(), inside.end(), kLabel), end; label != end; ++label) {
      labels.emplace((*label)[1], (*label)[2]);
    }
    page.emplace(found[1], labels);
  }
  return page;
}

/// Labels that Prometheus and not the page gives to series.
bool is_given_by_scrapes(const std::string& label) { return label == "job" || label == "instance"; }

bool fits(const Labels& labels, const std::string& matchers) {
  static const std::regex kMatcher(R"re(([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)")re");
  for (std::sregex_iterator matcher(matchers.begin(), matchers.end(), kMatcher), end; matcher != end; ++matcher) {
    const std::string label = (*matcher)[1];
    const std::string how = (*matcher)[2];
    const std::string what = (*matcher)[3];
    if (is_given_by_scrapes(label)) {
      continue;
    }
    const auto at = labels.find(label);
    const auto value = at == labels.end() ? "" : at->second;
    const bool same = how.ends_with('~') ? std::regex_match(value, std::regex(what)) : value == what;
    if (at == labels.end() || same == how.starts_with('!')) {
      return false;
    }
  }
  return true;
}

/// What of a query, or of a text with queries, the page does not have.
std::string missing(const Page& page, const std::string& text) {
  static const std::regex kSelector(R"re(\b(fleetledger_[a-z_]+|process_[a-z_]+)\b(?:\{([^}]*)\})?)re");
  std::string lacking;
  for (std::sregex_iterator selector(text.begin(), text.end(), kSelector), end; selector != end; ++selector) {
    const auto [from, to] = page.equal_range((*selector)[1]);
    const std::string matchers = (*selector)[2];
    if (std::none_of(from, to, [&](const auto& series) { return fits(series.second, matchers); })) {
      lacking += selector->str() + '\n';
    }
  }
  std::set<std::string> labels{"job", "instance"};
  for (const auto& series : page) {
    for (const auto& [label, value] : series.second) {
      labels.insert(label);
    }
  }
  static const std::regex kGrouping(R"re(\b(?:by|on|ignoring|without|group_left)\s*\(([^)]*)\))re");
  static const std::regex kWord("[a-z_]+");
  for (std::sregex_iterator grouping(text.begin(), text.end(), kGrouping), end; grouping != end; ++grouping) {
    const std::string inside = (*grouping)[1];
    for (std::sregex_iterator word(inside.begin(), inside.end(), kWord); word != end; ++word) {
      lacking += labels.contains(word->str()) ? "" : "label " + word->str() + '\n';
    }
  }
  static const std::regex kRate(R"re(\b(?:rate|increase)\((\w+))re");
  static const std::regex kCounter(".*_(?:total|count|sum|bucket)");
  for (std::sregex_iterator rate(text.begin(), text.end(), kRate), end; rate != end; ++rate) {
    lacking += std::regex_match(std::string((*rate)[1]), kCounter) ? "" : "counter in " + rate->str() + '\n';
  }
  return lacking;
}

/// All queries of a dashboard, with what a person would choose in the place of its variables.
void add_queries(const Json& json, std::vector<std::string>& queries) {
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto& item = json.items[i];
    const bool is_query = json.kind == Json::Kind::object && (json.names[i] == "expr" || json.names[i] == "definition");
    if (is_query) {
      auto query = std::regex_replace(item.text, std::regex(R"(\$(job|instance|agent)\b)"), ".*");
      queries.push_back(std::regex_replace(query, std::regex(R"(\$(window|__range|__rate_interval)\b)"), "10m"));
    }
    add_queries(item, queries);
  }
}

Finished run(Host& host, const std::string& command) {
  auto program = host.start_program({"/bin/sh", "-c", command});
  const int code = program.exit_code();
  return {code, program.output(), program.errors()};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a Prometheus reads real metrics, and all that the dashboard and the alerts ask for is there") {
  Host host;
  host.configure(
      "http: {listen: [\"127.0.0.1:0\"], metrics_auth: token, metrics_sessions: 1}\n"
      "storage: {location: agent}\n"
      "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  ServedAgent luna(host, "luna", R"({"developmentAgent":true,"authToken":"luna-token-0123456789"})");
  const auto broken = host.make_agent("broken");
  std::filesystem::create_directories(broken + "/.instar/server-data/resource-ledger.db");
  host.register_agents({{"lu\"na\\ \n\xC3\xA9 <b>", luna.path, luna.server.pid(), ""}, {"broken", broken}});
  host.tmux({"new-session", "-d", "-s", "work", "sleep 10000"});
  host.write_session(luna.path, "s\"1", "work");
  Served served(host);
  const auto log = served.daemon.errors();
  const auto file = log.substr(log.find("event=metrics_token file=") + 25);
  const auto token = text_of_file(file.substr(0, file.find(' '))).substr(0, 64);
  CHECK_FALSE(has(log, token));

  // Enough has happened when rows are written, a session is seen and the broken ledger has failed for good.
  std::string text;
  REQUIRE(await([&] {
    text = served.get("/metrics", token).body;
    return has(text, "state=\"unavailable\"} 1\n") && has(text, "fleetledger_session_info{agent=") &&
           !std::regex_search(text, std::regex(R"(ledger_rows_total\{agent="lu-[^}]*\} 0\n)"));
  }));
  CHECK(has(text, R"(,name="lu\"na\\)"));
  CHECK(served.get("/metrics", served.operators_token()).status == 200);
  CHECK(served.get("/metrics", "luna-token-0123456789").status == 403);
  CHECK(served.get("/metrics", "wrong-token-0123456789").status == 403);
  for (const auto* other : {"/agents", "/fleet/summary", "/resources/summary", "/agents/broken"}) {
    CHECK(served.get(other, token).status == 403);
  }
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);

  host.folder().write("page.txt", text, 0600);
  const auto checked = run(host, "promtool check metrics <" + (host / "page.txt"));
  CHECK(checked.code == 0);
  CHECK(checked.output + checked.errors == "");

  const auto page = parse_page(text);
  for (const auto& series : page) {
    CHECK(series.second.count("session") <= (series.first.starts_with("fleetledger_session_") ? 1 : 0));
  }
  const auto readme = text_of_file(kRoot + "/README.md");
  const auto table = readme.substr(readme.find("<!-- metrics: begin -->"));
  for (const auto& line : lines_of(table.substr(0, table.find("<!-- metrics: end -->")))) {
    if (line.starts_with("| `")) {
      const auto histogram = has(line, "| histogram |") ? "_bucket" : "";
      CHECK(missing(page, line.substr(3, line.find('`', 3) - 3) + histogram).empty());
    }
  }

  CHECK(missing(page, text_of_file(kAlerts)).empty());
  std::vector<std::string> queries;
  add_queries(parse_json(text_of_file(kDashboard)), queries);
  CHECK(queries.size() > 20);
  std::string rules = "groups: [{name: dashboard, rules: [\n";
  for (const auto& query : queries) {
    CAPTURE(query);
    CHECK(missing(page, query).empty());
    CHECK_FALSE(has(query, "$"));
    if (!query.starts_with("label_values(")) {
      rules += "{record: \"dashboard:q" + std::to_string(rules.size()) + "\", expr: " + json_text(query) + "},\n";
    }
  }
  host.folder().write("dashboard.yaml", rules + "]}]\n", 0600);
  for (const auto& command :
       {"check rules " + (host / "dashboard.yaml"), "check rules " + kAlerts, "test rules " + kAlertTests}) {
    const auto result = run(host, "promtool " + command);
    INFO(result.output << result.errors);
    CHECK(result.code == 0);
  }
}

TEST_CASE("the check of queries finds what is not there") {
  const auto page = parse_page("fleetledger_a_total{role=\"x\"} 1\nfleetledger_b 2\n");
  CHECK(missing(page, "rate(fleetledger_a_total{role=~\"x|y\", job=\"z\"}[1m]) > on (role) fleetledger_b").empty());
  for (const auto* wrong :
       {"fleetledger_c", "fleetledger_a_total{role=\"y\"}", "fleetledger_a_total{role!=\"x\"}", "process_start_time",
        "fleetledger_b{role=\"x\"}", "sum by (rolle) (fleetledger_b)", "rate(fleetledger_b[1m])"}) {
    CAPTURE(wrong);
    CHECK_FALSE(missing(page, wrong).empty());
  }
}

TEST_CASE("by default the operator alone reads metrics, and nobody needs a token where that is said") {
  for (const bool open : {false, true}) {
    Host host;
    host.configure(std::string("http: {listen: [\"127.0.0.1:0\"]") + (open ? ", metrics_auth: none}\n" : "}\n"));
    Served served(host);
    CHECK(served.get("/metrics", served.operators_token()).status == 200);
    CHECK(served.get("/metrics", "wrong-token-0123456789").status == (open ? 200 : 403));
    CHECK(served.get("/agents", "wrong-token-0123456789").status == 403);
    CHECK_FALSE(std::filesystem::exists(host.home() + "/.local/state/fleetledger/metrics.token"));
    served.daemon.signal(SIGTERM);
    CHECK(served.daemon.exit_code() == 0);
  }
}

TEST_CASE("a metrics token that others may read, or that is the operator's, keeps the collector from starting") {
  Host host;
  host.serve();
  host.configure("http: {listen: [\"127.0.0.1:0\"], metrics_auth: token}\n");
  const auto folder = host.home() + "/.local/state/fleetledger";
  std::filesystem::create_directories(folder);
  const auto start_with = [&](mode_t mode) {
    for (const auto* name : {"operator.token", "metrics.token"}) {
      host.folder().write("home/.local/state/fleetledger/" + std::string(name), "the-same-token-0123456789", 0600);
    }
    REQUIRE(chmod((folder + "/metrics.token").c_str(), mode) == 0);
    auto refused = host.run({"run"});
    CHECK(refused.code == 1);
    CHECK_FALSE(has(refused.errors, "the-same-token"));
    CHECK(has(refused.errors, "metrics token " + folder + "/metrics.token"));
    return refused.errors;
  };
  CHECK(has(start_with(0640), "chmod 600"));
  CHECK(has(start_with(0600), "it is the operator's"));
}
