#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "core/units.h"

namespace fleetledger {

/// How the configuration that is in force stands to the one that was read last.
struct ConfigurationStanding {
  WallTime since{};                        ///< when what is in force was read
  WallTime refused_at{};                   ///< when another one was refused; meaningful only if `refused` is not empty
  std::string refused;                     ///< why; empty: the last one that was read is in force
  std::vector<std::string> at_next_start;  ///< keys and sections of it that take effect only then

  /// What an operator should mend or know, in one line; empty: nothing.
  [[nodiscard]] std::string remark() const;
};

/// What differs between the configuration that the collector started with and a later one, and is not changed while it
/// runs: in the order of the README's table.
[[nodiscard]] std::vector<std::string> takes_effect_at_next_start(const Config& started, const Config& now);

}  // namespace fleetledger
