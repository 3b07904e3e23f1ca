#include "bench/harness/cost.h"

#include <fmt/format.h>
#include <istream>

#include "bench/harness/json.h"
#include "bench/harness/programs.h"
#include "bench/harness/ticks.h"
#include "collector/sources/ps_parser.h"

namespace fleetledger::bench {
namespace {

constexpr std::size_t kFewestTicks = 5;

double milliseconds(Micros time) { return static_cast<double>(time.count()) / 1e3; }

struct Line {
  const char* name;
  const Spread& spread;
};

}  // namespace

Result<Cost> measure_cost(std::istream& lines) {
  auto ps = BareProgram::find("ps", linux_ps_arguments());
  if (!ps) return fail(ps.error());
  auto tmux = BareProgram::find("tmux", {"-u", "list-panes", "-a", "-F", "#{pid} #{pane_pid} #{session_name}"});
  if (!tmux) return fail(tmux.error());

  Cost cost;
  std::vector<double> own;
  std::vector<double> children;
  std::vector<double> together;
  std::vector<double> bare_ps;
  std::vector<double> bare_tmux;
  for (std::string line; std::getline(lines, line);) {
    const auto tick = parse_tick(line);
    if (!tick) return fail(tick.error());
    const auto ps_ms = ps->run();
    if (!ps_ms) return fail(ps_ms.error());
    const auto tmux_ms = tmux->run();
    if (!tmux_ms) return fail(tmux_ms.error());
    own.push_back(milliseconds(tick->own));
    children.push_back(milliseconds(tick->children));
    together.push_back(own.back() + children.back());
    bare_ps.push_back(*ps_ms);
    bare_tmux.push_back(*tmux_ms);
    cost.processes = tick->processes;
    cost.sources = tick->rows.size();
    cost.resident_mib = static_cast<double>(tick->resident.value) / (1 << 20);
  }
  cost.ticks = own.size();
  if (cost.ticks < kFewestTicks) {
    return fail(
        fmt::format("measure the cost: {} ticks came, and {} are the least to judge by", cost.ticks, kFewestTicks));
  }
  cost.own = spread_of(std::move(own));
  cost.children = spread_of(std::move(children));
  cost.together = spread_of(std::move(together));
  cost.bare_ps = spread_of(std::move(bare_ps));
  cost.bare_tmux = spread_of(std::move(bare_tmux));
  return cost;
}

std::string cost_table(const Cost& cost) {
  auto text = fmt::format(
      "Cost: {} ticks with their ledgers, {} rows each, {} processes on the host; CPU ms a tick\n\n{}\n", cost.ticks,
      cost.sources, cost.processes, "WHAT                            MEDIAN    LEAST  GREATEST   x BARE PS");
  for (const auto& [name, spread] :
       {Line{"fleetledger itself", cost.own}, Line{"its ps and tmux", cost.children}, Line{"together", cost.together},
        Line{"bare ps, same columns", cost.bare_ps}, Line{"bare tmux list-panes -a", cost.bare_tmux}}) {
    text += fmt::format("{:<28}{:>10.2f} {:>8.2f} {:>9.2f} {:>11.2f}\n", name, spread.median, spread.least,
                        spread.greatest, spread.median / cost.bare_ps.median);
  }
  text += fmt::format("\nTogether {:.2f} x (bare ps + bare tmux). Memory of fleetledger: {:.1f} MiB.\n",
                      cost.together.median / (cost.bare_ps.median + cost.bare_tmux.median), cost.resident_mib);
  return text;
}

std::string cost_json(const Cost& cost) {
  JsonWriter json;
  json.object()
      .field("ticks", static_cast<std::uint64_t>(cost.ticks))
      .field("processes", cost.processes)
      .field("rows", static_cast<std::uint64_t>(cost.sources))
      .field("residentMiB", cost.resident_mib);
  spread_field(json, "ownMs", cost.own);
  spread_field(json, "childrenMs", cost.children);
  spread_field(json, "togetherMs", cost.together);
  spread_field(json, "barePsMs", cost.bare_ps);
  spread_field(json, "bareTmuxMs", cost.bare_tmux);
  json.field("togetherToBarePs", cost.together.median / cost.bare_ps.median)
      .field("togetherToBarePsAndTmux", cost.together.median / (cost.bare_ps.median + cost.bare_tmux.median))
      .end();
  return json.take();
}

}  // namespace fleetledger::bench
