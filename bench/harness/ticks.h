#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fleetledger::bench {

/// One source in one tick.
struct TickRow {
  std::string agent;
  std::string source;
  Micros cpu{};
  double percent = 0;

  /// How long the interval was that the row is about, as usage and percent imply; 0 if nothing was used.
  [[nodiscard]] Micros interval() const;
};

/// One line of `fleetledger sample --json`. A tick whose look failed has no rows.
struct Tick {
  WallTime ts{};
  std::vector<TickRow> rows;
  Micros own{};       ///< CPU time of fleetledger itself since the tick before
  Micros children{};  ///< likewise, of its ps and tmux
};

[[nodiscard]] Result<Tick> parse_tick(std::string_view line);

/// All lines of a file. Fails if one is none, or if there is none.
[[nodiscard]] Result<std::vector<Tick>> read_ticks(const std::string& path);

}  // namespace fleetledger::bench
