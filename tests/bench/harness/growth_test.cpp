#include "bench/harness/growth.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

using namespace fleetledger::bench;

namespace {

/// A fleet whose tick costs a millisecond an agent, and half of that in bare SQLite.
GrowthPoint point_of(std::size_t agents) {
  const auto cost = static_cast<double>(agents);
  GrowthPoint point;
  point.agents = agents;
  point.procfs = {.source = "procfs", .own = {cost * 0.9, cost, cost * 1.1}, .resident_mib = 10};
  point.procfs.together = point.procfs.own;
  point.ps = point.procfs;
  point.ps.source = "ps";
  point.bare_ledgers = {cost / 2, cost / 2, cost / 2};
  return point;
}

const Bar& bar_of(const std::vector<Bar>& bars, const std::string& begin) {
  const auto found =
      std::find_if(bars.begin(), bars.end(), [&](const Bar& bar) { return bar.what.starts_with(begin); });
  REQUIRE(found != bars.end());
  return *found;
}

}  // namespace

TEST_CASE("the exponent is fitted from ten agents on") {
  std::vector<GrowthPoint> points{point_of(1), point_of(10), point_of(50), point_of(500)};
  points[0].procfs.own.median = 100;  // what a tick costs anyhow
  CHECK(growth_exponent(points, true) == Approx(1));
  points[3].procfs.own.median = 5000;
  CHECK(growth_exponent(points, true) > 1.3);
  CHECK(growth_exponent(points, false) == Approx(1));
  CHECK(growth_exponent({point_of(10)}, true) == 0);
}

TEST_CASE("bars are those of the fleets that were measured") {
  CHECK(growth_bars({point_of(1)}).empty());
  CHECK(growth_bars({point_of(10)}).size() == 1);
  auto points = std::vector{point_of(10), point_of(500)};
  auto bars = growth_bars(points);
  CHECK(bar_of(bars, "CPU of 500 agents' tick").value == Approx(2));
  CHECK_FALSE(bar_of(bars, "CPU of 500 agents' tick").met());
  CHECK(bar_of(bars, "memory with 500").met());
  CHECK(bar_of(bars, "turns of the loop").met());
  points[1].procfs.lag_above_10_ms = 1;
  points[1].ps.work_above_10_ms = 2;
  points[1].procfs.resident_mib = 64.1;
  bars = growth_bars(points);
  CHECK_FALSE(bar_of(bars, "memory with 500").met());
  CHECK_FALSE(bar_of(bars, "turns of the loop above").met());
  CHECK(bar_of(bars, "turns of the loop with more than 10 ms of its own CPU").met());
  CHECK(std::any_of(bars.begin(), bars.end(), [](const Bar& bar) { return bar.value == 2 && !bar.met(); }));
  CHECK_THAT(bars_text(bars), Catch::Contains("MISSED: memory with 500 agents: 64.1 MiB (at most 64)"));
}

TEST_CASE("a point comes back from its JSON") {
  auto point = point_of(50);
  point.procfs.lag_highest_ms = std::numeric_limits<double>::infinity();
  point.procfs.children = {1, 2, 3};
  point.procfs.rows = 600;
  point.bare_ps = {4, 5, 6};
  const auto back = parse_point(point_json(point));
  REQUIRE(back);
  CHECK(back->agents == 50);
  CHECK(back->procfs.source == "procfs");
  CHECK(back->procfs.own.greatest == Approx(55));
  CHECK(back->procfs.lag_highest_ms == std::numeric_limits<double>::infinity());
  CHECK(back->bare_ps.median == 5);
  CHECK(point_json(*back) == point_json(point));
  CHECK_FALSE(parse_point("{}"));
  CHECK_FALSE(parse_point("no JSON"));
}
