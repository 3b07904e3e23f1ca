#pragma once

#include <string>
#include <vector>

#include "bench/harness/bars.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

/// One step of bench/micro, over its repetitions.
struct Step {
  std::string name;   ///< "charge_processes/100000"
  std::string label;  ///< which backend; empty: it has none
  Spread cpu_us;      ///< CPU microseconds of one iteration
  double items = 0;   ///< that one iteration goes through; 0: not said
};

/// Of what Google Benchmark wrote with --benchmark_out_format=json. Fails if that is none, has no step, or a step that
/// says that it failed.
[[nodiscard]] Result<std::vector<Step>> parse_steps(const std::string& json);

/// Those of the steps that are there: charging 100,000 processes, and how charging grows from 1,000 on.
[[nodiscard]] std::vector<Bar> steps_bars(const std::vector<Step>& steps);

/// For people, and as one JSON object.
[[nodiscard]] std::string steps_table(const std::vector<Step>& steps);
[[nodiscard]] std::string steps_json(const std::vector<Step>& steps);

}  // namespace fleetledger::bench
