#include "bench/harness/steps.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace fleetledger::bench;

namespace {

/// One repetition as Google Benchmark writes it.
std::string run(const std::string& name, double cpu_ms, double items_per_second) {
  return fmt::format(
      R"({{"name":"{0}","run_name":"{0}","run_type":"iteration","cpu_time":{1},"time_unit":"ms","items_per_second":{2}}})",
      name, cpu_ms, items_per_second);
}

std::vector<Step> charging(double of_1k, double of_10k, double of_100k) {
  return {{"charge_processes/1000", "", {of_1k, of_1k, of_1k}, 1e3},
          {"charge_processes/10000", "", {of_10k, of_10k, of_10k}, 1e4},
          {"charge_processes/100000", "", {of_100k, of_100k, of_100k}, 1e5}};
}

}  // namespace

TEST_CASE("a step's repetitions are one figure with least and greatest, and aggregates are none") {
  const auto steps = parse_steps(
      R"({"benchmarks":[)" + run("charge/10", 2, 5'000) + ',' + run("charge/10", 6, 1'667) + ',' +
      run("charge/10", 4, 2'500) +
      R"(,{"name":"charge/10_mean","run_name":"charge/10","run_type":"aggregate","cpu_time":9,"time_unit":"ms"},)" +
      R"({"run_name":"append","run_type":"iteration","cpu_time":7,"time_unit":"us","label":"sqlite"}]})");
  REQUIRE(steps);
  REQUIRE(steps->size() == 2);
  CHECK((*steps)[0].name == "charge/10");
  CHECK((*steps)[0].cpu_us.least == Approx(2'000));
  CHECK((*steps)[0].cpu_us.median == Approx(4'000));
  CHECK((*steps)[0].cpu_us.greatest == Approx(6'000));
  CHECK((*steps)[0].items == Approx(10));
  CHECK((*steps)[1].label == "sqlite");
  CHECK((*steps)[1].cpu_us.median == Approx(7));
  CHECK((*steps)[1].items == 0);
  CHECK_THAT(steps_table(*steps), Catch::Contains("append sqlite"));
}

TEST_CASE("steps that failed, and what is no result, are no figures") {
  CHECK_FALSE(parse_steps(""));
  CHECK_FALSE(parse_steps(R"({"benchmarks":[]})"));
  CHECK_FALSE(parse_steps(
      R"({"benchmarks":[{"run_name":"append","run_type":"iteration","error_occurred":true,"error_message":"no disk"}]})"));
}

TEST_CASE("charging is judged by its time, and by how it grows where all sizes are there") {
  CHECK(all_met(steps_bars(charging(500, 5'000, 50'000))));
  CHECK(all_met(steps_bars(charging(50, 900, 12'000))));
  CHECK_FALSE(all_met(steps_bars(charging(600, 6'000, 61'000))));
  CHECK_FALSE(all_met(steps_bars(charging(1, 100, 10'000))));
  CHECK(steps_bars({charging(1, 100, 10'000).back()}).size() == 1);
  CHECK(steps_bars({{"append", "", {1, 1, 1}, 0}}).empty());
}
