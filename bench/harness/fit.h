#pragma once

#include <optional>
#include <utility>
#include <vector>

namespace fleetledger::bench {

/// y = factor * x ^ exponent.
struct PowerLaw {
  double factor = 0;
  double exponent = 0;
};

/// Least squares on the logarithms. Nothing without two different x, or where an x or a y is not above 0.
[[nodiscard]] std::optional<PowerLaw> fit_power_law(const std::vector<std::pair<double, double>>& points);

}  // namespace fleetledger::bench
