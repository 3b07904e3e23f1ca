#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/harness/bars.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

inline constexpr std::int64_t kEventLines = 200'000;
inline constexpr std::int64_t kLinesPerEvent = 20;  ///< every so many is of the rate-limit sentinel

/// What a log of sentinels costs at first sight, with the mark and its events in a SQLite ledger, and when nothing is
/// new in it.
struct EventCost {
  std::int64_t bytes = 0;      ///< of the log
  Spread seconds;              ///< until all is read and written
  Spread events_only_seconds;  ///< the same of a log of as many lines that are all events
  Spread bare_seconds;         ///< to count the line breaks of the first of these, in pieces of the same size
  Spread look_micros;          ///< CPU time to see that a log is as it was, where nobody watches it
};

/// In a temporary folder, gone at the end.
[[nodiscard]] Result<EventCost> measure_events();

/// For people, and as one JSON object.
[[nodiscard]] std::string events_table(const EventCost& cost);
[[nodiscard]] std::string events_json(const EventCost& cost);
[[nodiscard]] std::vector<Bar> events_bars(const EventCost& cost);

}  // namespace fleetledger::bench
