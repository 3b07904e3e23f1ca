#include "collector/api/metrics.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

/// The page's lines, without those about what metrics mean.
std::multiset<std::string> series_of(const std::string& page) {
  std::multiset<std::string> series;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('#')) {
      series.insert(line);
    }
  }
  return series;
}

AgentMetrics agent(const std::string& id, const std::string& name = "name") {
  AgentMetrics made;
  made.counted.identity = {id, name, "/" + name};
  made.counted.cpu = {Usage{1500ms}, Usage{2s}, Usage{3s}};
  made.shows_cpu = true;
  made.state = AgentState::sampling;
  made.live_sessions = 2;
  made.roles = {RoleTotals{Usage{1s}, Bytes{1000}, 1}, RoleTotals{Usage{1s}, Bytes{2000}, 2}, RoleTotals{}};
  made.ledger = {.written = 3, .rows = 21, .dropped = 1, .errors = 4};
  return made;
}

}  // namespace

TEST_CASE("the README's table of metrics is the table") {
  std::ifstream file(std::string(FLEETLEDGER_SOURCE_DIR) + "/README.md", std::ios::binary);
  REQUIRE(file);
  std::ostringstream content;
  content << file.rdbuf();
  const std::string readme = content.str();
  const std::string begin = "<!-- metrics: begin -->\n";
  const std::size_t from = readme.find(begin);
  const std::size_t to = readme.find("<!-- metrics: end -->");
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  CHECK(readme.substr(from + begin.size(), to - from - begin.size()) == metrics_markdown());
}

TEST_CASE("an agent has a series for each role and no sum of them") {
  MetricsView view;
  view.agents = {agent("a-1")};
  view.agents[0].counted.events[1] = 7;
  view.agents[0].counted.skipped[static_cast<std::size_t>(SkippedLine::not_json)] = 3;
  view.agents[0].counted.skipped[static_cast<std::size_t>(SkippedLine::other_sentinel)] = 100;
  const auto series = series_of(metrics_text(view));
  for (const auto* line : {
           "fleetledger_agent_cpu_seconds_total{agent=\"a-1\",role=\"server\"} 1.5",
           "fleetledger_agent_cpu_seconds_total{agent=\"a-1\",role=\"sessions\"} 2",
           "fleetledger_agent_cpu_seconds_total{agent=\"a-1\",role=\"orphans\"} 3",
           "fleetledger_agent_resident_memory_bytes{agent=\"a-1\",role=\"server\"} 1000",
           "fleetledger_agent_resident_memory_bytes{agent=\"a-1\",role=\"sessions\"} 2000",
           "fleetledger_agent_resident_memory_bytes{agent=\"a-1\",role=\"orphans\"} 0",
           "fleetledger_agent_processes{agent=\"a-1\",role=\"server\"} 1",
           "fleetledger_agent_processes{agent=\"a-1\",role=\"sessions\"} 2",
           "fleetledger_agent_processes{agent=\"a-1\",role=\"orphans\"} 0",
           "fleetledger_agent_live_sessions{agent=\"a-1\"} 2",
           "fleetledger_agent_rate_limit_events_total{agent=\"a-1\",kind=\"throttle\"} 0",
           "fleetledger_agent_rate_limit_events_total{agent=\"a-1\",kind=\"quota\"} 7",
           "fleetledger_agent_rate_limit_events_total{agent=\"a-1\",kind=\"529\"} 0",
           "fleetledger_agent_event_lines_skipped_total{agent=\"a-1\",reason=\"not_json\"} 3",
           "fleetledger_agent_event_lines_skipped_total{agent=\"a-1\",reason=\"future\"} 0",
           "fleetledger_agent_state{agent=\"a-1\",state=\"sampling\"} 1",
           "fleetledger_agent_info{agent=\"a-1\",name=\"name\"} 1",
           "fleetledger_ledger_rows_total{agent=\"a-1\"} 21",
           "fleetledger_ledger_errors_total{agent=\"a-1\"} 4",
           "fleetledger_ledger_dropped_ticks_total{agent=\"a-1\"} 1",
       }) {
    CAPTURE(line);
    CHECK(series.count(line) == 1);
  }
  CHECK(std::count_if(series.begin(), series.end(),
                      [](const auto& line) { return line.find("a-1") != std::string::npos; }) == 24);
}

TEST_CASE("what is not known of an agent or the host has no series, which is not zero") {
  MetricsView view;
  view.agents = {agent("a-1")};
  view.agents[0].shows_cpu = false;
  view.agents[0].roles.reset();
  view.agents[0].live_sessions.reset();
  view.agents[0].state = AgentState::gone;
  const auto page = metrics_text(view);
  for (const auto* name :
       {"fleetledger_agent_cpu", "fleetledger_agent_resident", "fleetledger_agent_processes", "fleetledger_agent_live",
        "fleetledger_host_", "fleetledger_last_look", "fleetledger_session", "part=\"children\"} 0\n# HELP process"}) {
    CAPTURE(name);
    CHECK(page.find(name) == std::string::npos);
  }
  CHECK(page.find("fleetledger_agent_state{agent=\"a-1\",state=\"gone\"} 1\n") != std::string::npos);
}

TEST_CASE("foreign names cannot leave their label, end a line or the page, or be no UTF-8") {
  MetricsView view;
  using namespace std::string_literals;
  view.agents = {agent("a-1", "a\"} 1\\\nb\rc\0d\xFF"s)};
  view.sessions = {{{"a-1", "s\"\n"}, {.name = "\t<b>"}}};
  const auto series = series_of(metrics_text(view));
  CHECK(series.count("fleetledger_agent_info{agent=\"a-1\",name=\"a\\\"} 1\\\\?b?c?d\xEF\xBF\xBD\"} 1") == 1);
  CHECK(series.count("fleetledger_session_info{agent=\"a-1\",session=\"s\\\"?\",name=\"?<b>\"} 1") == 1);
}

TEST_CASE("durations are counted in rising ranges, each with those below it") {
  MetricsView view;
  view.loop_lag = DurationHistogram{1ms, 10ms};
  for (const auto duration : {500us, 1000us, 2000us, 10'000us, 10'001us, 5'000'000us}) {
    view.loop_lag.add(duration);
  }
  const auto series = series_of(metrics_text(view));
  CHECK(series.count("fleetledger_loop_lag_seconds_bucket{le=\"0.001\"} 2") == 1);
  CHECK(series.count("fleetledger_loop_lag_seconds_bucket{le=\"0.01\"} 4") == 1);
  CHECK(series.count("fleetledger_loop_lag_seconds_bucket{le=\"+Inf\"} 6") == 1);
  CHECK(series.count("fleetledger_loop_lag_seconds_count 6") == 1);
  CHECK(series.count("fleetledger_loop_lag_seconds_sum 5.023501") == 1);
  CHECK(series.count("fleetledger_loop_work_seconds_count 0") == 1);  // they are counted apart
}
