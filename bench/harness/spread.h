#pragma once

#include <vector>

namespace fleetledger::bench {

/// Least, middle and greatest of some figures of one kind; zeros of none.
struct Spread {
  double least = 0;
  double median = 0;  ///< of an even number: the mean of the two in the middle
  double greatest = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> figures);

}  // namespace fleetledger::bench
