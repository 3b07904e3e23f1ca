#include "bench/harness/bars.h"

#include <algorithm>
#include <fmt/format.h>

namespace fleetledger::bench {

std::string bars_text(const std::vector<Bar>& bars) {
  std::string text;
  for (const auto& bar : bars) {
    text += fmt::format("{}: {}: {:.4g}{}{} ({} {:.4g})\n", bar.met() ? "Met" : "MISSED", bar.what, bar.value,
                        bar.unit.empty() ? "" : " ", bar.unit, bar.kind == Bar::Kind::at_most ? "at most" : "at least",
                        bar.bar);
  }
  return text;
}

bool all_met(const std::vector<Bar>& bars) {
  return std::all_of(bars.begin(), bars.end(), [](const Bar& bar) { return bar.met(); });
}

void bars_field(JsonWriter& json, const std::vector<Bar>& bars) {
  json.key("bars").array();
  for (const auto& bar : bars) {
    json.object().field("what", bar.what).field("value", bar.value).field("bar", bar.bar).field("unit", bar.unit);
    json.field("kind", bar.kind == Bar::Kind::at_most ? "at most" : "at least").field("met", bar.met()).end();
  }
  json.end();
}

}  // namespace fleetledger::bench
