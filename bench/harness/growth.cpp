#include "bench/harness/growth.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "bench/harness/bare_ledgers.h"
#include "bench/harness/fit.h"
#include "bench/harness/json.h"
#include "bench/harness/json_reader.h"
#include "bench/harness/programs.h"
#include "collector/sources/ps_parser.h"

namespace fleetledger::bench {
namespace {

constexpr int kRounds = 9;
constexpr std::size_t kFewAgents = 10;  // of the bars
constexpr std::size_t kManyAgents = 500;
constexpr double kMostExponent = 1.05;
constexpr double kMostOfBare = 1.5;
constexpr double kMostMibOfFew = 12;
constexpr double kMostMibOfMany = 64;

// Every figure by its name in JSON: what writes them and what reads them both go through these.

template <typename Any, typename Each>
void each_figure_of_metered(Any& metered, const Each& each) {
  each("source", metered.source);
  each("agents", metered.agents);
  each("processes", metered.processes);
  each("rows", metered.rows);
  each("ownMs", metered.own);
  each("childrenMs", metered.children);
  each("togetherMs", metered.together);
  each("wallMs", metered.wall_ms);
  each("lagMeanMs", metered.lag_mean_ms);
  each("lagHighestMs", metered.lag_highest_ms);
  each("lagAbove10Ms", metered.lag_above_10_ms);
  each("workHighestMs", metered.work_highest_ms);
  each("workAbove10Ms", metered.work_above_10_ms);
  each("turns", metered.turns);
  each("residentMiB", metered.resident_mib);
  each("startUpMs", metered.start_up_ms);
  each("ledgerKiB", metered.ledger_kib);
}

template <typename Any, typename Each>
void each_figure_of_point(Any& point, const Each& each) {
  each("agents", point.agents);
  each("procfs", point.procfs);
  each("ps", point.ps);
  each("barePsMs", point.bare_ps);
  each("bareLedgersMs", point.bare_ledgers);
}

struct Writer {
  JsonWriter& json;

  void operator()(const char* name, const std::string& text) const { json.field(name, text); }
  void operator()(const char* name, double number) const { json.field(name, number); }
  void operator()(const char* name, std::uint64_t number) const { json.field(name, number); }
  void operator()(const char* name, const Spread& spread) const { spread_field(json, name, spread); }
  void operator()(const char* name, const Metered& metered) const {
    json.key(name).object();
    each_figure_of_metered(metered, *this);
    json.end();
  }
};

struct Reader {
  const Json& object;

  void operator()(const char* name, std::string& text) const { text = text_in(object, name); }
  /// null, which stands for infinite, is a number that is too large for all bounds.
  void operator()(const char* name, double& number) const {
    const Json* found = find_in(object, name);
    const bool infinite = found != nullptr && found->IsNull();
    number = infinite ? std::numeric_limits<double>::infinity() : number_in(object, name);
  }
  void operator()(const char* name, std::uint64_t& number) const {
    number = static_cast<std::uint64_t>(number_in(object, name));
  }
  void operator()(const char* name, Spread& spread) const {
    const Reader read{member_of(object, name)};  // as spread_field writes it
    read("median", spread.median);
    read("least", spread.least);
    read("greatest", spread.greatest);
  }
  void operator()(const char* name, Metered& metered) const {
    each_figure_of_metered(metered, Reader{member_of(object, name)});
  }
};

const GrowthPoint* point_of(const std::vector<GrowthPoint>& points, std::size_t agents) {
  const auto found =
      std::find_if(points.begin(), points.end(), [&](const auto& point) { return point.agents == agents; });
  return found == points.end() ? nullptr : &*found;
}

std::string exponent_text(const std::vector<GrowthPoint>& points) {
  return fmt::format(
      "CPU of the collector grows with the number of agents to the power of {:.2f} (procfs), {:.2f} (ps); 1 is "
      "linear.\n",
      growth_exponent(points, true), growth_exponent(points, false));
}

}  // namespace

Result<GrowthPoint> measure_growth(const MeteredOptions& options, std::size_t agents) {
  GrowthPoint point;
  point.agents = agents;
  const auto ps = BareProgram::find("ps", linux_ps_arguments());
  if (!ps) return fail(ps.error());
  for (const char* source : {"procfs", "ps"}) {
    auto own = options;
    own.source = source;
    own.folder = options.folder + "/" + source;
    auto measured = meter_fleet(own);
    if (!measured) return fail(measured.error());
    (own.source == "ps" ? point.ps : point.procfs) = std::move(*measured);
  }
  // Not beside the collector: with thousands of processes it would still run when the next tick begins.
  std::vector<double> bare_ps;
  for (int i = 0; i < options.ticks; ++i) {
    const auto took = ps->run();
    if (!took) return fail(took.error());
    bare_ps.push_back(*took);
  }
  point.bare_ps = spread_of(std::move(bare_ps));
  const auto rows = std::max(std::llround(point.procfs.rows / static_cast<double>(agents)), 1LL);
  const auto bare = measure_bare_ledgers(options.folder + "/bare", agents, static_cast<std::size_t>(rows), kRounds);
  if (!bare) return fail(bare.error());
  point.bare_ledgers = *bare;
  return point;
}

double growth_exponent(const std::vector<GrowthPoint>& points, bool procfs) {
  std::vector<std::pair<double, double>> figures;
  for (const auto& point : points) {
    if (point.agents < kFewAgents) continue;
    figures.emplace_back(static_cast<double>(point.agents), (procfs ? point.procfs : point.ps).own.median);
  }
  const auto fit = fit_power_law(figures);
  return fit ? fit->exponent : 0;
}

std::vector<Bar> growth_bars(const std::vector<GrowthPoint>& points) {
  std::vector<Bar> bars;
  if (growth_exponent(points, true) > 0) {
    bars.push_back({"growth exponent of the collector's CPU, procfs", growth_exponent(points, true), kMostExponent});
    bars.push_back({"the same, ps", growth_exponent(points, false), kMostExponent});
  }
  if (const auto* many = point_of(points, kManyAgents)) {
    bars.push_back({"CPU of 500 agents' tick in bare SQLite transactions (procfs)",
                    many->procfs.own.median / many->bare_ledgers.median, kMostOfBare, Bar::Kind::at_most, "x"});
    bars.push_back({"memory with 500 agents", many->procfs.resident_mib, kMostMibOfMany, Bar::Kind::at_most, "MiB"});
    bars.push_back({"turns of the loop above 10 ms with 500 agents, procfs", many->procfs.lag_above_10_ms, 0});
    bars.push_back({"the same, ps", many->ps.lag_above_10_ms, 0});
    bars.push_back({"turns of the loop with more than 10 ms of its own CPU time with 500 agents, procfs",
                    many->procfs.work_above_10_ms, 0});
    bars.push_back({"the same, ps", many->ps.work_above_10_ms, 0});
  }
  if (const auto* few = point_of(points, kFewAgents)) {
    bars.push_back({"memory with 10 agents", few->procfs.resident_mib, kMostMibOfFew, Bar::Kind::at_most, "MiB"});
  }
  return bars;
}

std::string point_json(const GrowthPoint& point) {
  JsonWriter json;
  json.object();
  each_figure_of_point(point, Writer{json});
  json.end();
  return json.take();
}

Result<GrowthPoint> parse_point(const std::string& text) {
  const auto json = parsed(text);
  GrowthPoint point;
  each_figure_of_point(point, Reader{json});
  if (point.agents == 0) return fail("read a point of growth: it is none");
  return point;
}

std::string growth_table(const std::vector<GrowthPoint>& points) {
  std::string text = "Growth: a tick of agents with ten idle sessions each and all its rows; medians, CPU in ms\n\n";
  text +=
      "AGENTS SOURCE  PROCESSES  ROWS      OWN (LEAST-MOST)  CHILDREN  WALL  LOOP MAX  >10MS  WORK MAX  >10MS  MIB  "
      "START  KIB/TICK  BARE SQLITE  BARE PS\n";
  for (const auto& point : points) {
    for (const auto* metered : {&point.procfs, &point.ps}) {
      const auto range = fmt::format("({:.1f}-{:.1f})", metered->own.least, metered->own.greatest);
      text += fmt::format(
          "{:>6} {:<6} {:>10} {:>5.0f} {:>8.2f} {:>15} {:>9.1f} {:>5.0f} {:>9.3g} {:>6.0f} {:>9.3g} {:>6.0f} {:>4.0f} "
          "{:>6.0f} {:>9.0f} {:>12.2f} {:>8.1f}\n",
          point.agents, metered->source, metered->processes, metered->rows, metered->own.median, range,
          metered->children.median, metered->wall_ms, metered->lag_highest_ms, metered->lag_above_10_ms,
          metered->work_highest_ms, metered->work_above_10_ms, metered->resident_mib, metered->start_up_ms,
          metered->ledger_kib, point.bare_ledgers.median, point.bare_ps.median);
    }
  }
  return text + "\n" + exponent_text(points) + bars_text(growth_bars(points));
}

std::string growth_json(const std::vector<GrowthPoint>& points) {
  JsonWriter json;
  json.object().field("exponentProcfs", growth_exponent(points, true));
  json.field("exponentPs", growth_exponent(points, false)).key("points").array();
  for (const auto& point : points) json.raw(point_json(point));
  json.end();
  bars_field(json, growth_bars(points));
  json.end();
  return json.take();
}

std::string growth_plot_data(const std::vector<GrowthPoint>& points) {
  std::string text = "# agents procfs least greatest ps least greatest bare_ps bare_ledgers, CPU ms a tick\n";
  for (const auto& point : points) {
    const auto& procfs = point.procfs.together;
    const auto& ps = point.ps.together;
    text += fmt::format("{} {} {} {} {} {} {} {} {}\n", point.agents, procfs.median, procfs.least, procfs.greatest,
                        ps.median, ps.least, ps.greatest, point.bare_ps.median, point.bare_ledgers.median);
  }
  return text;
}

}  // namespace fleetledger::bench
