#pragma once

#include <string>
#include <vector>

#include "bench/harness/metered.h"
#include "core/result.h"

namespace fleetledger::bench {

/// How much of what a fleet's short-lived tools used somebody saw, in CPU seconds.
struct Seer {
  std::string name;
  double truth = 0;  ///< of the time that it covers, by the loads' own accounts
  double seen = 0;
};
struct Sight {
  double seconds = 0;
  std::vector<Seer> seers;
  std::vector<std::string> missing;
};

/// Lets all who are installed look at the fleet for twenty seconds at once; those that are scraped are, every five.
[[nodiscard]] Result<Sight> measure_sight(const MeteredOptions& options);

[[nodiscard]] std::string sight_table(const Sight& sight);
[[nodiscard]] std::string sight_json(const Sight& sight);

}  // namespace fleetledger::bench
