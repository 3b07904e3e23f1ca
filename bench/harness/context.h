#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/harness/bars.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

inline constexpr int kContextAgents = 50;

/// What it costs to say what ran before a rate-limit event on a host of kContextAgents agents, each with a ledger of a
/// week (see fill_ledger) that is written between two questions, as a collector does.
struct ContextCost {
  std::int64_t rows = 0;   ///< in all ledgers together
  Spread wall;             ///< milliseconds from the question to the answer's JSON
  Spread cpu;              ///< the thread's CPU time of the same
  Spread bare_statements;  ///< CPU milliseconds of the same rows, read on connections that stay open, prepared once
};

/// In a temporary folder with the SQLite backend: half a gigabyte, gone at the end.
[[nodiscard]] Result<ContextCost> measure_context();

/// For people, and as one JSON object.
[[nodiscard]] std::string context_table(const ContextCost& cost);
[[nodiscard]] std::string context_json(const ContextCost& cost);

[[nodiscard]] std::vector<Bar> context_bars(const ContextCost& cost);

}  // namespace fleetledger::bench
