#include "bench/harness/cost.h"

#include <catch2/catch.hpp>
#include <sstream>

using namespace fleetledger::bench;

TEST_CASE("fewer than five ticks are no measurement") {
  std::istringstream none;
  CHECK_FALSE(measure_cost(none));
}

TEST_CASE("the table of costs relates all to the bare ps") {
  Cost cost;
  cost.together = {9, 15, 20};
  cost.bare_ps = {8, 10, 12};
  cost.bare_tmux = {1, 2, 3};
  const auto table = cost_table(cost);
  CHECK_THAT(table, Catch::Contains("together") && Catch::Contains("15.00     9.00     20.00        1.50"));
  CHECK_THAT(table, Catch::Contains("Together 1.25 x (bare ps + bare tmux)"));
}
