#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <unistd.h>
#include <utility>

#include "tests/e2e/host.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using namespace fleetledger::e2e;

// The real program, whose wall clock libfaketime sets while it runs. The monotonic clock goes on, as with any such
// step.

namespace {

constexpr std::int64_t kDaySeconds = 86'400;

/// The collector's wall clock.
class SteppedClock {
 public:
  explicit SteppedClock(std::string file) : file_(std::move(file)) { step_to(0); }

  [[nodiscard]] std::vector<std::string> environment() const {
    return {"LD_PRELOAD=" LIBFAKETIME, "FAKETIME_TIMESTAMP_FILE=" + file_, "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"};
  }
  /// So far beside the host's from now on.
  void step_to(std::int64_t seconds) const {
    std::ofstream(file_ + ".new") << (seconds < 0 ? "" : "+") << seconds << '\n';
    REQUIRE(std::rename((file_ + ".new").c_str(), file_.c_str()) == 0);
  }

 private:
  std::string file_;
};

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::vector<Row> rows_of(const std::string& agent_path, const std::string& source) {
  auto rows = read_rows(agent_path);
  std::erase_if(rows, [&](const Row& row) { return row.source != source; });
  return rows;
}

/// Rows whose time lies within an hour of the clock that is so far beside the host's.
std::size_t rows_beside(const std::string& agent_path, const std::string& source, std::int64_t seconds) {
  const auto rows = rows_of(agent_path, source);
  return static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [&](const Row& row) {
    return std::abs(row.ts - now_ms() - seconds * 1000) < 3'600'000;
  }));
}

/// CPU time of a process and of the children that it waited for, as the kernel counts it.
double cpu_seconds(const std::string& pid) {
  const auto stat = test::text_of_file("/proc/" + pid + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) {
    fields >> skipped;
  }
  double ticks = 0;
  for (int i = 0; i < 4; ++i) {
    double one = 0;
    fields >> one;
    ticks += one;
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

TEST_CASE("the wall clock is set a day on, two back and one on: ticks, intervals and usage are as if it was not") {
  if (std::string(LIBFAKETIME).ends_with("NOTFOUND")) {
    WARN("skipped: libfaketime is not installed, or this is a build with sanitizers");
    return;
  }
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.tmux({"new-session", "-d", "-s", "work", "/bin/sh", "-c",
             "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; /bin/sleep 0.1; done"});
  host.write_session(agent.path, "s1", "work");
  auto pane = host.tmux({"list-panes", "-a", "-F", "#{pane_pid}"});
  pane.resize(pane.find_last_not_of('\n') + 1);
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  const SteppedClock clock(host / "clock");
  host.set_variables(clock.environment());
  const auto began = std::chrono::steady_clock::now();
  auto daemon = host.start({"run"});
  const std::string source = "session:s1";
  REQUIRE(test::await([&] { return rows_beside(agent.path, source, 0) >= 2; }));
  const double at_first_rows = cpu_seconds(pane);

  for (const std::int64_t step : {kDaySeconds, -kDaySeconds, std::int64_t{0}}) {
    const auto before = rows_beside(agent.path, source, step);
    clock.step_to(step);
    INFO(step << ' ' << daemon.errors());
    REQUIRE(test::await([&] { return rows_beside(agent.path, source, step) >= before + 4; }));
  }
  const double later = cpu_seconds(pane);
  const auto rows_then = rows_of(agent.path, source).size();
  REQUIRE(test::await([&] { return rows_of(agent.path, source).size() >= rows_then + 2; }));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  const double at_end = cpu_seconds(pane);
  const std::chrono::duration<double> lived = std::chrono::steady_clock::now() - began;
  INFO(daemon.errors());
  CHECK(complaints_in(daemon.errors()).empty());

  std::set<std::pair<std::int64_t, std::string>> keys;
  for (const auto& row : read_rows(agent.path)) {
    CHECK(keys.emplace(row.ts, row.source).second);
    REQUIRE(row.cpu_us);
    REQUIRE(row.interval_us);
    CHECK(*row.cpu_us >= 0);
    CHECK(*row.interval_us > 0);
    CHECK(static_cast<double>(*row.interval_us) / 1e6 < lived.count());
    CHECK(row.cpu_percent >= 0);
    // A look that comes late is followed by one that comes soon: what it says of its moment weighs more there.
    CHECK((row.cpu_percent < 110 || *row.interval_us < 500'000));
  }
  const auto rows = rows_of(agent.path, source);
  double used = 0;
  double covered = 0;
  for (const auto& row : rows) {
    used += static_cast<double>(*row.cpu_us) / 1e6;
    covered += static_cast<double>(*row.interval_us) / 1e6;
  }
  CAPTURE(used, at_first_rows, later, at_end, covered, lived.count(), rows.size());
  CHECK(used >= later - at_first_rows - 0.1);
  CHECK(used <= at_end + 0.1);
  CHECK(covered <= lived.count());
  CHECK(static_cast<double>(rows.size()) <= lived.count() + 2);  // a look at its begin, then one a second
  CHECK(is_intact(agent.path));
}
