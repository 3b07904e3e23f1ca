#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "config/json.h"

namespace fleetledger {

/// Where numbers come from.
struct TopOrigin {
  bool collector = false;           ///< the last look of the collector that runs; otherwise own looks
  std::string why;                  ///< own looks: why so
  std::chrono::milliseconds age{};  ///< of the numbers
};

struct TopPage {
  std::size_t width = 80;  ///< columns; no line is longer, but for a page narrower than 80: there none is than 80
  std::size_t height = 0;  ///< lines; 0: as many as there are. What does not fit is added up in one row
  bool colour = false;
};

/// Whether this is an answer of /fleet/now that says something: its host has been looked at twice.
[[nodiscard]] bool has_numbers(const JsonValue& fleet);

/// An answer of /fleet/now for people, line by line: the agents and all else on the host, whose CPU column adds up to
/// its last row, the host; the heaviest sessions; orphans; agents without numbers.
[[nodiscard]] std::vector<std::string> top_lines(const JsonValue& fleet, const TopOrigin& origin, const TopPage& page);

/// The same for programs: the answer, with "from" ("collector" or "own looks"), "why" and "ageMs" in it.
[[nodiscard]] std::string top_json(const std::string& fleet, const TopOrigin& origin);

}  // namespace fleetledger
