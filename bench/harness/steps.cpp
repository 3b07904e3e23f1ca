#include "bench/harness/steps.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <utility>

#include "bench/harness/fit.h"
#include "bench/harness/json.h"
#include "bench/harness/json_reader.h"

namespace fleetledger::bench {
namespace {

constexpr const char* kCharging = "charge_processes/";
constexpr std::array kProcesses{1'000, 10'000, 100'000};
constexpr double kMostMs = 60;
/// 1 is linear. Binary search makes it 1.11 over these sizes, and looks at a thousand processes lie in the core's own
/// cache, at 100,000 not. What goes through all processes for each of them would be 2.
constexpr double kMostExponent = 1.3;

double micros_in(const Json& run) {
  constexpr std::array kUnits{std::pair{"ns", 1e-3}, std::pair{"us", 1.0}, std::pair{"ms", 1e3}, std::pair{"s", 1e6}};
  const auto unit = text_in(run, "time_unit");
  const auto* found =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& known) { return known.first == unit; });
  return found == kUnits.end() ? 0 : number_in(run, "cpu_time") * found->second;
}

const Step* charging_of(const std::vector<Step>& steps, int processes) {
  const auto name = kCharging + std::to_string(processes);
  const auto found = std::find_if(steps.begin(), steps.end(), [&](const Step& step) { return step.name == name; });
  return found == steps.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<Step>> parse_steps(const std::string& text) {
  const auto json = parsed(text);
  std::vector<Step> steps;
  std::vector<std::vector<double>> figures;  // of each step
  for (const auto& run : list_in(json, "benchmarks")) {
    const auto name = text_in(run, "run_name");
    const auto error = text_in(run, "error_message");
    if (!error.empty()) return fail("measure " + name + ": " + error);
    if (text_in(run, "run_type") != "iteration") continue;
    const double took = micros_in(run);
    if (steps.empty() || steps.back().name != name) {
      steps.push_back({name, text_in(run, "label"), {}, number_in(run, "items_per_second") * took / 1e6});
      figures.emplace_back();
    }
    figures.back().push_back(took);
  }
  if (steps.empty()) return fail("read what Google Benchmark measured: no step is there");
  for (std::size_t i = 0; i < steps.size(); ++i) steps[i].cpu_us = spread_of(std::move(figures[i]));
  return steps;
}

std::vector<Bar> steps_bars(const std::vector<Step>& steps) {
  std::vector<Bar> bars;
  std::vector<std::pair<double, double>> course;
  for (const int processes : kProcesses) {
    const auto* step = charging_of(steps, processes);
    if (step != nullptr) course.emplace_back(processes, step->cpu_us.median);
  }
  if (const auto* most = charging_of(steps, kProcesses.back())) {
    bars.push_back({"charging 100,000 processes", most->cpu_us.median / 1e3, kMostMs, Bar::Kind::at_most, "ms"});
  }
  const auto fit = fit_power_law(course);
  if (course.size() == kProcesses.size() && fit) {
    bars.push_back({"growth exponent of charging, 1,000 to 100,000 processes", fit->exponent, kMostExponent});
  }
  return bars;
}

std::string steps_table(const std::vector<Step>& steps) {
  auto text = fmt::format("Single steps: CPU us of one\n\n{:<46}{:>12} {:>12} {:>12} {:>8} {:>9}\n", "STEP", "MEDIAN",
                          "LEAST", "GREATEST", "ITEMS", "NS EACH");
  for (const auto& step : steps) {
    text += fmt::format("{:<46}{:>12.2f} {:>12.2f} {:>12.2f}", step.name + (step.label.empty() ? "" : " ") + step.label,
                        step.cpu_us.median, step.cpu_us.least, step.cpu_us.greatest);
    if (step.items > 0) text += fmt::format(" {:>8.0f} {:>9.0f}", step.items, step.cpu_us.median * 1e3 / step.items);
    text += '\n';
  }
  return text + '\n';
}

std::string steps_json(const std::vector<Step>& steps) {
  JsonWriter json;
  json.object().key("steps").array();
  for (const auto& step : steps) {
    json.object().field("name", step.name).field("label", step.label).field("items", step.items);
    spread_field(json, "cpuMicros", step.cpu_us);
    json.end();
  }
  json.end();
  bars_field(json, steps_bars(steps));
  json.end();
  return json.take();
}

}  // namespace fleetledger::bench
