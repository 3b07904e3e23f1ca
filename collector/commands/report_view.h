#pragma once

#include <string>

#include "collector/tick_report.h"

namespace fleetledger {

/// A tick as one line of JSON, without the line's end: {"tick","ts","processes","agents":[{"id","name","state",
/// "sources":[{"source","pid","cpuPercent","cpuSeconds","rssBytes","processes"}]}],"self":{"cpuSeconds",
/// "childCpuSeconds","rssBytes"}}, and "failure" if nothing is known of this tick. CPU seconds are those of the
/// interval; so are ours, since the tick before.
[[nodiscard]] std::string report_json(const TickReport& report);

/// A tick as a table for people.
[[nodiscard]] std::string report_table(const TickReport& report);

}  // namespace fleetledger
