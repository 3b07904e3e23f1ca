#include "bench/harness/fit.h"

#include <cmath>

namespace fleetledger::bench {

std::optional<PowerLaw> fit_power_law(const std::vector<std::pair<double, double>>& points) {
  const auto count = static_cast<double>(points.size());
  double x_sum = 0;
  double y_sum = 0;
  for (const auto& [x, y] : points) {
    if (!(x > 0) || !(y > 0)) return std::nullopt;
    x_sum += std::log(x);
    y_sum += std::log(y);
  }
  double spread = 0;
  double together = 0;
  for (const auto& [x, y] : points) {
    const double off = std::log(x) - x_sum / count;
    spread += off * off;
    together += off * (std::log(y) - y_sum / count);
  }
  if (!(spread > 0)) return std::nullopt;
  const double exponent = together / spread;
  return PowerLaw{std::exp((y_sum - exponent * x_sum) / count), exponent};
}

}  // namespace fleetledger::bench
