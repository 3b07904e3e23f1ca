#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

/// What ticks cost beside what they cannot do without, in CPU milliseconds each.
struct Cost {
  std::size_t ticks = 0;
  std::uint64_t processes = 0;  ///< on the host, at the last tick
  std::size_t sources = 0;      ///< rows of the last tick
  double resident_mib = 0;      ///< of fleetledger, at the last tick
  Spread own;                   ///< fleetledger itself
  Spread children;              ///< its ps and tmux
  Spread together;
  Spread bare_ps;    ///< the same ps, run by nobody in particular
  Spread bare_tmux;  ///< `tmux list-panes -a`
};

/// Reads the lines of `fleetledger sample --json` as they come, and after each runs ps, with the columns that the
/// collector asks for, and tmux once, so that whatever else happens on the host hits all of them alike. The tmux server
/// is the one that TMUX_TMPDIR names. Ends with the lines. Fails if there are fewer than five.
[[nodiscard]] Result<Cost> measure_cost(std::istream& lines);

/// For people, and as one JSON object.
[[nodiscard]] std::string cost_table(const Cost& cost);
[[nodiscard]] std::string cost_json(const Cost& cost);

}  // namespace fleetledger::bench
