#include "bench/harness/metered.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace fleetledger::bench;

namespace {

/// A collector that has ticked so often: 10 ms of its own CPU and 20 ms of its children's a tick, a scrape 5 ms, 8 KiB
/// in the ledgers and three turns of the loop, of which `long_turns` in all took longer than 10 ms, none
/// of them with as much CPU time of its own.
Reading after(int ticks, int long_turns = 0) {
  Reading reading;
  reading.own_before_scrape = 100 + 15 * ticks;
  reading.own = reading.own_before_scrape + 5;
  reading.ledger_bytes = 1'000'000 + 8'192 * ticks;
  reading.series = parse_series(fmt::format(
      "fleetledger_agents{{state=\"sampling\"}} 2\nfleetledger_ledger_rows_total{{agent=\"a\"}} {}\n"
      "fleetledger_collector_cpu_seconds_total{{part=\"children\"}} {}\n"
      "fleetledger_tick_duration_seconds_count {}\nfleetledger_tick_duration_seconds_sum {}\n"
      "fleetledger_loop_lag_seconds_bucket{{le=\"0.01\"}} {}\nfleetledger_loop_lag_seconds_bucket{{le=\"0.02\"}} {}\n"
      "fleetledger_loop_lag_seconds_bucket{{le=\"+Inf\"}} {}\nfleetledger_loop_lag_seconds_count {}\n"
      "fleetledger_loop_work_seconds_bucket{{le=\"0.005\"}} {}\nfleetledger_loop_work_seconds_bucket{{le=\"0.01\"}} "
      "{}\n"
      "fleetledger_loop_work_seconds_bucket{{le=\"+Inf\"}} {}\nfleetledger_loop_work_seconds_count {}\n",
      12 * ticks, 0.02 * ticks, ticks, 0.04 * ticks, 3 * ticks - long_turns, 3 * ticks, 3 * ticks, 3 * ticks, 2 * ticks,
      3 * ticks, 3 * ticks, 3 * ticks));
  return reading;
}

}  // namespace

TEST_CASE("of a metered run each tick counts once, and no scrape") {
  std::vector<Reading> settled;
  for (int tick = 5; tick <= 11; ++tick) settled.push_back(after(tick));
  const auto found = metered_of(after(1), settled);
  REQUIRE(found);
  CHECK(found->agents == 2);
  CHECK(found->rows == Approx(12));
  CHECK(found->own.median == Approx(10));
  CHECK(found->children.greatest == Approx(20));
  CHECK(found->together.least == Approx(30));
  CHECK(found->wall_ms == Approx(40));
}

TEST_CASE("ledgers grow by what they had more at the last of the ticks that are divided by") {
  std::vector<Reading> settled;
  for (int tick = 5; tick <= 11; ++tick) settled.push_back(after(tick));
  CHECK(metered_of(after(1), settled)->ledger_kib == Approx(8));
  settled.back().ledger_bytes = settled.front().ledger_bytes - 6 * 1'024;  // a -wal shrank
  CHECK(metered_of(after(1), settled)->ledger_kib == Approx(-1));
}

TEST_CASE("turns of the loop are those from the first look on, also of ticks that it takes to settle") {
  std::vector<Reading> settled;
  for (int tick = 5; tick <= 11; ++tick) settled.push_back(after(tick, 3));
  const auto found = metered_of(after(1, 2), settled);  // two were before the first look was over
  REQUIRE(found);
  CHECK(found->turns == 30);
  CHECK(found->lag_above_10_ms == 1);
  CHECK(found->lag_highest_ms == Approx(20));
  CHECK(found->work_highest_ms == Approx(10));
  CHECK(found->work_above_10_ms == 0);
}

TEST_CASE("a tick that came with another one is in no spread") {
  std::vector<Reading> settled;
  for (const int tick : {5, 6, 7, 9, 10, 11, 12}) settled.push_back(after(tick));
  const auto found = metered_of(after(1), settled);
  REQUIRE(found);
  CHECK(found->own.greatest == Approx(10));
  CHECK(found->rows == Approx(12));
  settled.resize(5);
  CHECK_FALSE(metered_of(after(1), settled));
  CHECK_FALSE(metered_of(after(1), {}));
}
