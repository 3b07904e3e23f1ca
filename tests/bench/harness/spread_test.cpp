#include "bench/harness/spread.h"

#include <catch2/catch.hpp>

using fleetledger::bench::spread_of;

TEST_CASE("the median of an odd number of figures is the middle one, whatever their order") {
  const auto spread = spread_of({9, 1, 4});
  CHECK(spread.least == 1);
  CHECK(spread.median == 4);
  CHECK(spread.greatest == 9);
}

TEST_CASE("the median of an even number of figures lies between the two in the middle") {
  CHECK(spread_of({8, 1, 2, 3}).median == 2.5);
}
