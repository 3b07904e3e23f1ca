#include <fmt/format.h>

#include "bench/harness/accuracy.h"
#include "bench/harness/json.h"

namespace fleetledger::bench {
namespace {

std::string error_text(const std::optional<Comparison>& found) {
  return found ? fmt::format("{:+.3f}", found->error()) : "-";
}

/// By /proc no load may be above the truth.
const char* bar_text(Bars bars, bool judged) {
  if (bars == Bars::procfs) return judged ? "yes" : "not above";
  return bars == Bars::ps && judged ? "yes" : "none";
}

double percent_of_truth(const Comparison& found) { return found.truth > 0 ? 100 * found.measured / found.truth : 0; }

void comparison_field(JsonWriter& json, const char* name, const Comparison& found) {
  json.key(name).object().field("truthSeconds", found.truth).field("measuredSeconds", found.measured);
  json.field("shareOfAllowed", found.share_of_allowed()).end();
}

}  // namespace

std::string accuracy_table(const Accuracy& accuracy) {
  auto text =
      fmt::format("Accuracy: {} ticks of {:.1f} s, {:.0f} s in all; seconds of CPU\n\n{}\n", accuracy.ticks,
                  accuracy.period, accuracy.seconds,
                  "LOAD             TRUE  MEASURED       %   ERROR  FIRST MINUTE  WORST MINUTE  MEDIAN OF A TICK  BAR");
  for (const auto& load : accuracy.loads) {
    text += fmt::format("{:<12}{:>9.3f} {:>9.3f} {:>7.1f} {:>+7.3f} {:>13} {:>13} {:>17.3f}  {}\n", load.load,
                        load.whole.truth, load.whole.measured, percent_of_truth(load.whole), load.whole.error(),
                        error_text(load.first_window), error_text(load.worst_window), load.tick_error.median,
                        bar_text(accuracy.bars, load.judged));
  }
  const auto& all = accuracy.everything;
  text += fmt::format("{:<12}{:>9.3f} {:>9.3f} {:>7.1f} {:>+7.3f}\n\n", "everything", all.truth, all.measured,
                      percent_of_truth(all), all.error());
  text += fmt::format(
      "Sources sum up to the aggregate in {} of {} ticks. fleetledger meanwhile: {:.1f} CPU ms a tick, "
      "its ps and tmux {:.1f}.\n",
      accuracy.ticks - accuracy.uneven, accuracy.ticks, accuracy.own_cost.median, accuracy.children_cost.median);
  for (const auto& bar : accuracy.missed) text += "MISSED: " + bar + "\n";
  if (accuracy.missed.empty()) text += "All bars met.\n";
  return text;
}

std::string accuracy_json(const Accuracy& accuracy) {
  JsonWriter json;
  json.object()
      .field("ticks", static_cast<std::uint64_t>(accuracy.ticks))
      .field("periodSeconds", accuracy.period)
      .field("seconds", accuracy.seconds)
      .key("loads")
      .array();
  for (const auto& load : accuracy.loads) {
    json.object().field("agent", load.agent).field("source", load.source).field("load", load.load);
    json.field("judged", load.judged);
    comparison_field(json, "whole", load.whole);
    if (load.first_window) comparison_field(json, "firstMinute", *load.first_window);
    if (load.worst_window) comparison_field(json, "worstMinute", *load.worst_window);
    spread_field(json, "tickErrorSeconds", load.tick_error);
    json.end();
  }
  json.end();
  comparison_field(json, "everything", accuracy.everything);
  json.field("unevenTicks", static_cast<std::uint64_t>(accuracy.uneven));
  json.field("highestExcessSeconds", accuracy.highest_excess);
  spread_field(json, "ownMs", accuracy.own_cost);
  spread_field(json, "childrenMs", accuracy.children_cost);
  json.key("missed").array();
  for (const auto& bar : accuracy.missed) json.value(bar);
  json.end().end();
  return json.take();
}

}  // namespace fleetledger::bench
