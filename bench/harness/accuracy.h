#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bench/fleet/truth.h"
#include "bench/harness/spread.h"
#include "bench/harness/ticks.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger::bench {

/// What the bars are: the kernel's figure give or take.
inline constexpr double kShareAllowed = 0.02;
inline constexpr double kSecondsAllowed = 0.3;
inline constexpr double kTickErrorAllowed = 0.03;           ///< seconds, median of ticks of two seconds
inline constexpr double kResolution = 0.02;                 ///< seconds, of the ps source
inline constexpr std::chrono::seconds kWindow{60};          ///< any stretch of this length is judged, and the whole
inline constexpr std::chrono::seconds kTickErrorPeriod{2};  ///< the bar on single ticks is for this period

/// What is asked of the figures depends on how they were come by.
enum class Bars {
  ps,      ///< those above
  procfs,  ///< flat and deep at least 99 % of the truth, long 95 to 100.5 %, no load more than a clock tick above it:
           ///< in the first minute, and in the whole run
  none,    ///< processes without their children: nothing but that sums are right, and no row above what cores can do
  sums,    ///< where ps knows whole seconds: nothing but that sums are right
};
inline constexpr double kClockTick = 0.01;  ///< seconds, the resolution of /proc

/// One load of a fleet and what it told of itself.
struct LoadTruth {
  std::string agent;
  std::string source;  ///< "agent-server", "session:<id>"
  std::string load;    ///< "flat", "deep", ...
  std::vector<fleet::TruthPoint> rows;
};

/// All loads of the fleet that <root>/fleet.json describes.
[[nodiscard]] Result<std::vector<LoadTruth>> read_fleet_truth(const std::string& root);

/// Measured and true CPU seconds of one source over the same stretch of time.
struct Comparison {
  double truth = 0;
  double measured = 0;

  [[nodiscard]] double error() const { return measured - truth; }
  /// How much of what is allowed the error takes: 1 is the bar.
  [[nodiscard]] double share_of_allowed() const;
};

struct LoadAccuracy {
  std::string agent;
  std::string source;
  std::string load;
  bool judged = false;  ///< a load that the bars are for: flat, deep, long
  Comparison whole;
  std::optional<Comparison> first_window;  ///< of a run that was longer
  std::optional<Comparison> worst_window;  ///< absent where the run was shorter
  Spread tick_error;                       ///< seconds, without sign
};

struct Accuracy {
  Bars bars = Bars::ps;
  double seconds = 0;  ///< covered by the ticks
  double period = 0;   ///< seconds, median distance of two ticks
  std::size_t ticks = 0;
  std::vector<LoadAccuracy> loads;
  Comparison everything;            ///< all sources, orphans included, against all loads
  std::size_t uneven = 0;           ///< ticks in which an agent's sources do not sum up to its aggregate
  double highest_excess = 0;        ///< seconds above cores x interval in any row; below zero if in none
  Spread own_cost;                  ///< CPU ms of fleetledger per tick
  Spread children_cost;             ///< likewise, of its ps and tmux
  std::vector<std::string> missed;  ///< the bars that were, each as a sentence; empty: all is well
};

/// Compares. Fails where a load has no truth for the time of the ticks. Pure.
[[nodiscard]] Result<Accuracy> compare(const std::vector<Tick>& ticks, const std::vector<LoadTruth>& truths, int cores,
                                       Bars bars = Bars::ps);

/// For people, and as one JSON object.
[[nodiscard]] std::string accuracy_table(const Accuracy& accuracy);
[[nodiscard]] std::string accuracy_json(const Accuracy& accuracy);

}  // namespace fleetledger::bench
