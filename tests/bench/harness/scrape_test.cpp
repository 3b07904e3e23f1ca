#include "bench/harness/scrape.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>

using namespace fleetledger::bench;

namespace {

std::string lag(int below_1, int below_10, int all, const std::string& sum) {
  return "# TYPE lag histogram\nlag_bucket{le=\"0.001\"} " + std::to_string(below_1) + "\nlag_bucket{le=\"0.01\"} " +
         std::to_string(below_10) + "\nlag_bucket{le=\"+Inf\"} " + std::to_string(all) + "\nlag_count " +
         std::to_string(all) + "\nlag_sum " + sum + "\n";
}

}  // namespace

TEST_CASE("series are told apart by their labels, and summed by how they begin") {
  const auto series = parse_series(
      "# HELP rows Samples\n# TYPE rows counter\nrows{agent=\"a b\"} 3\nrows{agent=\"c\"} 4.5\nrowsum 100\nno_value\n\n"
      "seconds{part=\"self\"} 1e-3");
  CHECK(series.size() == 4);
  CHECK(value_of(series, "rows{agent=\"a b\"}") == 3);
  CHECK(value_of(series, "seconds{part=\"self\"}") == 0.001);
  CHECK(value_of(series, "rows") == 0);
  CHECK(sum_of(series, "rows{") == 7.5);
}

TEST_CASE("of a histogram only what came between two scrapes counts") {
  const auto before = parse_series(lag(5, 6, 9, "0.5"));
  SECTION("values above the bound") {
    const auto grown = growth_of("lag", before, parse_series(lag(6, 9, 13, "0.6")), 0.01);
    CHECK(grown.values == 4);
    CHECK(grown.mean == Approx(0.025));
    CHECK(grown.above == 1);
    CHECK(std::isinf(grown.highest));
  }
  SECTION("none above it") {
    const auto grown = growth_of("lag", before, parse_series(lag(6, 9, 12, "0.503")), 0.01);
    CHECK(grown.above == 0);
    CHECK(grown.highest == 0.01);
  }
  SECTION("a bound between two buckets counts from the next one on") {
    CHECK(growth_of("lag", before, parse_series(lag(6, 9, 13, "0.6")), 0.005).above == 1);
  }
  SECTION("nothing came") { CHECK(growth_of("lag", before, before, 0.01).values == 0); }
}
