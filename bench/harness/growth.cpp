#include "bench/harness/growth.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <rapidjson/document.h>

#include "bench/harness/bare_ledgers.h"
#include "bench/harness/fit.h"
#include "bench/harness/json.h"
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

using Json = rapidjson::Value;

void metered_field(JsonWriter& json, const char* name, const Metered& metered) {
  json.key(name).object().field("source", metered.source).field("agents", metered.agents);
  json.field("processes", metered.processes).field("rows", metered.rows);
  spread_field(json, "ownMs", metered.own);
  spread_field(json, "childrenMs", metered.children);
  spread_field(json, "togetherMs", metered.together);
  json.field("wallMs", metered.wall_ms).field("lagMeanMs", metered.lag_mean_ms);
  json.field("lagHighestMs", metered.lag_highest_ms).field("lagAbove10Ms", metered.lag_above_10_ms);
  json.field("turns", metered.turns).field("residentMiB", metered.resident_mib);
  json.field("startUpMs", metered.start_up_ms).field("ledgerKiB", metered.ledger_kib).end();
}

/// 0 where there is no such number; null (infinite) is one that is too large for all bounds.
double number(const Json& object, const char* name) {
  const auto member = object.FindMember(name);
  if (member == object.MemberEnd()) return 0;
  if (member->value.IsNull()) return std::numeric_limits<double>::infinity();
  return member->value.IsNumber() ? member->value.GetDouble() : 0;
}

const Json& part(const Json& object, const char* name) {
  static const Json kEmpty(rapidjson::kObjectType);
  const auto member = object.FindMember(name);
  return member != object.MemberEnd() && member->value.IsObject() ? member->value : kEmpty;
}

Spread spread(const Json& object, const char* name) {
  const Json& found = part(object, name);
  return {number(found, "least"), number(found, "median"), number(found, "greatest")};
}

Metered metered(const Json& object, const char* name) {
  const Json& found = part(object, name);
  Metered result;
  const auto source = found.FindMember("source");
  if (source != found.MemberEnd() && source->value.IsString()) result.source = source->value.GetString();
  result.agents = static_cast<std::uint64_t>(number(found, "agents"));
  result.processes = static_cast<std::uint64_t>(number(found, "processes"));
  result.rows = number(found, "rows");
  result.own = spread(found, "ownMs");
  result.children = spread(found, "childrenMs");
  result.together = spread(found, "togetherMs");
  result.wall_ms = number(found, "wallMs");
  result.lag_mean_ms = number(found, "lagMeanMs");
  result.lag_highest_ms = number(found, "lagHighestMs");
  result.lag_above_10_ms = number(found, "lagAbove10Ms");
  result.turns = number(found, "turns");
  result.resident_mib = number(found, "residentMiB");
  result.start_up_ms = number(found, "startUpMs");
  result.ledger_kib = number(found, "ledgerKiB");
  return result;
}

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
  std::vector<double> bare_ps;
  const auto run_ps = [&]() -> Result<void> {
    const auto took = ps->run();
    if (!took) return fail(took.error());
    bare_ps.push_back(*took);
    return {};
  };
  for (const char* source : {"procfs", "ps"}) {
    auto own = options;
    own.source = source;
    own.folder = options.folder + "/" + source;
    auto measured = meter_fleet(own, own.source == "ps" ? run_ps : std::function<Result<void>()>{});
    if (!measured) return fail(measured.error());
    (own.source == "ps" ? point.ps : point.procfs) = std::move(*measured);
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
  }
  if (const auto* few = point_of(points, kFewAgents)) {
    bars.push_back({"memory with 10 agents", few->procfs.resident_mib, kMostMibOfFew, Bar::Kind::at_most, "MiB"});
  }
  return bars;
}

std::string point_json(const GrowthPoint& point) {
  JsonWriter json;
  json.object().field("agents", static_cast<std::uint64_t>(point.agents));
  metered_field(json, "procfs", point.procfs);
  metered_field(json, "ps", point.ps);
  spread_field(json, "barePsMs", point.bare_ps);
  spread_field(json, "bareLedgersMs", point.bare_ledgers);
  json.end();
  return json.take();
}

Result<GrowthPoint> parse_point(const std::string& text) {
  rapidjson::Document json;
  json.Parse(text.data(), text.size());
  if (json.HasParseError() || !json.IsObject() || number(json, "agents") <= 0) {
    return fail("read a point of growth: it is none");
  }
  return GrowthPoint{.agents = static_cast<std::size_t>(number(json, "agents")),
                     .procfs = metered(json, "procfs"),
                     .ps = metered(json, "ps"),
                     .bare_ps = spread(json, "barePsMs"),
                     .bare_ledgers = spread(json, "bareLedgersMs")};
}

std::string growth_table(const std::vector<GrowthPoint>& points) {
  std::string text = "Growth: a tick of agents with ten idle sessions each and all its rows; medians, CPU in ms\n\n";
  text +=
      "AGENTS SOURCE  PROCESSES  ROWS      OWN (LEAST-MOST)  CHILDREN  WALL  LOOP MAX  >10MS  MIB  START  "
      "KIB/TICK  BARE SQLITE  BARE PS\n";
  for (const auto& point : points) {
    for (const auto* metered : {&point.procfs, &point.ps}) {
      const auto range = fmt::format("({:.1f}-{:.1f})", metered->own.least, metered->own.greatest);
      text += fmt::format(
          "{:>6} {:<6} {:>10} {:>5.0f} {:>8.2f} {:>15} {:>9.1f} {:>5.0f} {:>9.3g} {:>6.0f} {:>4.0f} {:>6.0f} {:>9.0f} "
          "{:>12.2f} {:>8.1f}\n",
          point.agents, metered->source, metered->processes, metered->rows, metered->own.median, range,
          metered->children.median, metered->wall_ms, metered->lag_highest_ms, metered->lag_above_10_ms,
          metered->resident_mib, metered->start_up_ms, metered->ledger_kib, point.bare_ledgers.median,
          point.bare_ps.median);
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
