#include "bench/harness/fit.h"

#include <catch2/catch.hpp>

using fleetledger::bench::fit_power_law;

TEST_CASE("a power law is found again in its own points") {
  std::vector<std::pair<double, double>> points;
  for (const double x : {1.0, 10.0, 50.0, 200.0, 500.0}) points.emplace_back(x, 3 * x * x);
  const auto fit = fit_power_law(points);
  REQUIRE(fit);
  CHECK(fit->factor == Approx(3));
  CHECK(fit->exponent == Approx(2));
}

TEST_CASE("a fit lies between points that are off to both sides") {
  const auto fit = fit_power_law({{10, 10 * 1.1}, {100, 100 / 1.1}, {1000, 1000 / 1.1}, {10'000, 10'000 * 1.1}});
  REQUIRE(fit);
  CHECK(fit->exponent == Approx(1));
  CHECK(fit->factor == Approx(1));
}

TEST_CASE("no exponent is made up") {
  CHECK_FALSE(fit_power_law({}));
  CHECK_FALSE(fit_power_law({{10, 5}}));
  CHECK_FALSE(fit_power_law({{10, 5}, {10, 6}}));
  CHECK_FALSE(fit_power_law({{10, 5}, {20, 0}}));
  CHECK_FALSE(fit_power_law({{-1, 5}, {20, 1}}));
}
