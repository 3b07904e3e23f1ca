#pragma once

#include <string>
#include <vector>

#include "collector/api/json_writer.h"

namespace fleetledger::bench {

/// What a figure may be at most, or must be at least.
struct Bar {
  enum class Kind { at_most, at_least };

  std::string what;
  double value = 0;
  double bar = 0;
  Kind kind = Kind::at_most;
  std::string unit = {};

  [[nodiscard]] bool met() const { return kind == Kind::at_most ? value <= bar : value >= bar; }
};

/// A line each, the missed ones marked.
[[nodiscard]] std::string bars_text(const std::vector<Bar>& bars);
[[nodiscard]] bool all_met(const std::vector<Bar>& bars);
void bars_field(JsonWriter& json, const std::vector<Bar>& bars);

}  // namespace fleetledger::bench
