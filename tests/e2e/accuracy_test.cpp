#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <sstream>
#include <thread>

#include "bench/fleet/truth.h"
#include "tests/e2e/generated_fleet.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::GeneratedFleet;
using e2e::Host;

namespace {

/// What a load had used at a moment, in seconds, by its own account.
double truth_at(const std::vector<fleet::TruthPoint>& truth, std::int64_t ts) {
  const auto total = fleet::cpu_at(truth, WallTime{std::chrono::milliseconds{ts}});
  REQUIRE(total);
  return static_cast<double>(total->since_start().count()) / 1e6;
}

}  // namespace

TEST_CASE("flat, deep and long loads are within 2 % and 0.3 s of what the kernel says that they used") {
  Host host;
  GeneratedFleet fleet(
      host, {"--agents", "1", "--sessions", "3", "--loads", "flat:30,deep:30,long:40", "--names", "echo", "--keep"});
  const auto path = fleet.agent("echo")["path"].text;
  REQUIRE(host.run({"sample", "--json", "--record", "--ticks", "5", "--interval", "2s"}).code == 0);
  fleet.end();

  const auto rows = e2e::read_rows(path);
  const double cores = std::thread::hardware_concurrency();
  constexpr double kResolution = 0.05;  // of ps, in seconds
  std::map<std::string, std::vector<e2e::Row>> by_source;
  for (const auto& row : rows) {
    by_source[row.source].push_back(row);
    const double seconds = static_cast<double>(row.interval_us.value()) / 1e6;
    CHECK(row.cpu_percent <= cores * 100 * (seconds + kResolution) / seconds);
    CHECK(row.cpu_percent >= 0);
  }
  for (const auto& session : fleet.agent("echo")["sessions"].items) {
    const auto truth = fleet::read_truth(session["truth"].text + ".jsonl");
    REQUIRE(truth);
    const auto& own = by_source["session:" + session["id"].text];
    REQUIRE(own.size() >= 4);
    double measured = 0;
    std::ostringstream ticks;
    for (std::size_t i = 1; i < own.size(); ++i) {
      const double seconds = static_cast<double>(own[i].cpu_us.value()) / 1e6;
      ticks << "; " << seconds << " of " << truth_at(*truth, own[i].ts) - truth_at(*truth, own[i - 1].ts);
      measured += seconds;
    }
    const double used = truth_at(*truth, own.back().ts) - truth_at(*truth, own.front().ts);
    INFO(session["id"].text << ": measured " << measured << " s, used " << used << " s" << ticks.str());
    // So that what was not measured would show, on a host that gives a load half of its time as well.
    CHECK(used > 0.5);
    CHECK(std::abs(measured - used) <= 0.02 * used + 0.3);
  }
}
