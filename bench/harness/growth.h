#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/harness/bars.h"
#include "bench/harness/metered.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

/// What fleets of one size cost, with what cannot be done without beside it. CPU milliseconds.
struct GrowthPoint {
  std::size_t agents = 0;
  Metered procfs;
  Metered ps;
  Spread bare_ps;       ///< one run, with the columns that the collector asks for
  Spread bare_ledgers;  ///< the rows of one tick written by SQLite alone, into as many files
};

/// Meters a fleet that runs, by /proc and by ps, each as long as `options` says. `options.source` counts for nothing.
[[nodiscard]] Result<GrowthPoint> measure_growth(const MeteredOptions& options, std::size_t agents);

/// How the collector's own cost grows with the agents from 10 on: see PowerLaw. 0 where it cannot be said.
[[nodiscard]] double growth_exponent(const std::vector<GrowthPoint>& points, bool procfs);
[[nodiscard]] std::vector<Bar> growth_bars(const std::vector<GrowthPoint>& points);

/// As one JSON object, and back.
[[nodiscard]] std::string point_json(const GrowthPoint& point);
[[nodiscard]] Result<GrowthPoint> parse_point(const std::string& json);

/// Of all points, by their number of agents: for people, as JSON, and as lines for a plot.
[[nodiscard]] std::string growth_table(const std::vector<GrowthPoint>& points);
[[nodiscard]] std::string growth_json(const std::vector<GrowthPoint>& points);
[[nodiscard]] std::string growth_plot_data(const std::vector<GrowthPoint>& points);

}  // namespace fleetledger::bench
