#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>

#include "backends/backends.h"
#include "bench/harness/accuracy.h"
#include "bench/harness/aged_ps.h"
#include "bench/harness/context.h"
#include "bench/harness/events.h"
#include "bench/harness/growth.h"
#include "bench/harness/http.h"
#include "bench/harness/machine.h"
#include "bench/harness/markdown.h"
#include "bench/harness/peers.h"
#include "bench/harness/sight.h"
#include "bench/harness/steps.h"
#include "bench/harness/store.h"

// fleetledger-bench: the arithmetic of the benchmarks. What is measured is started by bench/run.sh.

namespace {

using namespace fleetledger;
using namespace fleetledger::bench;

constexpr int kMissed = 1;
constexpr int kFailed = 2;

int report(const Error& error) {
  std::cerr << "fleetledger-bench: " << error.text << '\n';
  return kFailed;
}

/// The table to standard output, the JSON to its file.
void publish(const std::string& table, const std::string& json, const std::string& path) {
  std::cout << table << std::flush;
  if (!path.empty()) std::ofstream(path) << json << '\n';
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

using Run = std::function<int()>;

std::shared_ptr<std::string> add_json(CLI::App& verb) {
  auto path = std::make_shared<std::string>();
  verb.add_option("--json", *path, "Also write the figures to this file");
  return path;
}

Run accuracy_verb(CLI::App& verb) {
  struct Options {
    std::string root;
    std::string ticks;
    Bars bars = Bars::ps;
  };
  const auto options = std::make_shared<Options>();
  verb.add_option("--fleet", options->root, "The fleet's folder")->required();
  verb.add_option("--ticks", options->ticks, "What `fleetledger sample --json` printed")->required();
  const std::map<std::string, Bars> kinds{
      {"ps", Bars::ps}, {"procfs", Bars::procfs}, {"none", Bars::none}, {"sums", Bars::sums}};
  verb.add_option("--bars", options->bars, "What is asked of the figures")->transform(CLI::CheckedTransformer(kinds));
  return [options, json = add_json(verb)] {
    const auto ticks = read_ticks(options->ticks);
    if (!ticks) return report(ticks.error());
    const auto truths = read_fleet_truth(options->root);
    if (!truths) return report(truths.error());
    const auto accuracy = compare(*ticks, *truths, this_machine().cores, options->bars);
    if (!accuracy) return report(accuracy.error());
    publish(accuracy_table(*accuracy), accuracy_json(*accuracy), *json);
    return accuracy->missed.empty() ? 0 : kMissed;
  };
}

Run aged_ps_verb(CLI::App& verb) {
  struct Options {
    double old_before = 0;
    std::int64_t days = 0;
  };
  const auto options = std::make_shared<Options>();
  verb.add_option("--before", options->old_before, "Which processes, by their start in seconds since boot")->required();
  verb.add_option("--days", options->days, "How much older they shall seem")->required();
  return [options] {
    const BootTime old_before{Micros{static_cast<Micros::rep>(options->old_before * 1e6)}};
    const auto text = aged_ps(old_before, options->days);
    if (!text) return report(text.error());
    std::cout << *text;
    return 0;
  };
}

Run store_verb(CLI::App& verb) {
  return [json = add_json(verb)] {
    const auto cost = measure_store();
    if (!cost) return report(cost.error());
    const auto bars = store_bars(*cost);
    publish(store_table(*cost) + bars_text(bars), store_json(*cost), *json);
    return all_met(bars) ? 0 : kMissed;
  };
}

Run context_verb(CLI::App& verb) {
  return [json = add_json(verb)] {
    const auto cost = measure_context();
    if (!cost) return report(cost.error());
    const auto bars = context_bars(*cost);
    publish(context_table(*cost) + bars_text(bars), bench::context_json(*cost), *json);
    return all_met(bars) ? 0 : kMissed;
  };
}

Run events_verb(CLI::App& verb) {
  return [json = add_json(verb)] {
    const auto cost = measure_events();
    if (!cost) return report(cost.error());
    const auto bars = events_bars(*cost);
    publish(events_table(*cost) + bars_text(bars), events_json(*cost), *json);
    return all_met(bars) ? 0 : kMissed;
  };
}

Run http_verb(CLI::App& verb) {
  struct Options {
    HttpTarget target;
    std::string token_file;
  };
  const auto options = std::make_shared<Options>();
  auto& target = options->target;
  verb.add_option("--address", target.address, "Where it listens: 127.0.0.1:4100")->required();
  verb.add_option("--token-file", options->token_file, "The operator's token")->required();
  verb.add_option("--agent", target.agent, "Whose ledger")->required();
  verb.add_option("--seconds", target.seconds, "How long, with wrk and before it without")->check(CLI::Range(1, 600));
  return [options, json = add_json(verb)] {
    std::getline(std::ifstream(options->token_file), options->target.token);
    const auto cost = measure_http(options->target);
    if (!cost) return report(cost.error());
    const auto bars = http_bars(*cost);
    publish(http_table(*cost) + bars_text(bars), http_json(*cost), *json);
    return all_met(bars) ? 0 : kMissed;
  };
}

Run fill_verb(CLI::App& verb) {
  const auto agent = std::make_shared<std::string>();
  verb.add_option("--agent", *agent, "The agent's path")->required();
  return [agent] {
    const std::string name = std::filesystem::path(*agent).filename();
    auto store = open_store("sqlite", {});
    if (!store) return report(store.error());
    const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    const LedgerKey ledger{{agent_id(name, *agent), name, *agent}, LedgerLocation::agent};
    const auto filled = fill_ledger(**store, ledger, now);
    return filled ? 0 : report(filled.error());
  };
}

void add_metered(CLI::App& verb, MeteredOptions& options) {
  verb.add_option("--program", options.program, "fleetledger")->required();
  verb.add_option("--fleet", options.fleet, "The folder of a fleet that runs")->required();
  verb.add_option("--folder", options.folder, "Where to put what is needed")->required();
  verb.add_option("--tmux", options.tmux, "What the collector asks for panes");
}

Run growth_verb(CLI::App& verb) {
  struct Options {
    MeteredOptions metered;
    std::size_t agents = 1;
  };
  const auto options = std::make_shared<Options>();
  add_metered(verb, options->metered);
  verb.add_option("--agents", options->agents, "How many the fleet has")->required();
  return [options, json = add_json(verb)] {
    const auto point = measure_growth(options->metered, options->agents);
    if (!point) return report(point.error());
    publish("", point_json(*point), *json);
    return 0;
  };
}

Run growth_report_verb(CLI::App& verb) {
  struct Options {
    std::vector<std::string> points;
    std::string plot;
  };
  const auto options = std::make_shared<Options>();
  verb.add_option("points", options->points, "What `growth` wrote")->required();
  verb.add_option("--plot-data", options->plot, "Also write lines for a plot to this file");
  return [options, json = add_json(verb)] {
    std::vector<GrowthPoint> points;
    for (const auto& path : options->points) {
      auto point = parse_point(text_of(path));
      if (!point) return report(point.error());
      points.push_back(std::move(*point));
    }
    std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.agents < b.agents; });
    publish(growth_table(points), growth_json(points), *json);
    if (!options->plot.empty()) std::ofstream(options->plot) << growth_plot_data(points);
    return all_met(growth_bars(points)) ? 0 : kMissed;
  };
}

Run peers_verb(CLI::App& verb) {
  const auto options = std::make_shared<MeteredOptions>();
  add_metered(verb, *options);
  return [options, json = add_json(verb)] {
    const auto peers = measure_peers(*options);
    if (!peers) return report(peers.error());
    publish(peers_table(*peers), peers_json(*peers), *json);
    return all_met(peers_bars(*peers)) ? 0 : kMissed;
  };
}

Run sight_verb(CLI::App& verb) {
  const auto options = std::make_shared<MeteredOptions>();
  add_metered(verb, *options);
  return [options, json = add_json(verb)] {
    const auto sight = measure_sight(*options);
    if (!sight) return report(sight.error());
    publish(sight_table(*sight), sight_json(*sight), *json);
    return 0;
  };
}

Run steps_verb(CLI::App& verb) {
  const auto results = std::make_shared<std::string>();
  verb.add_option("--results", *results, "What Google Benchmark wrote as JSON")->required();
  return [results, json = add_json(verb)] {
    const auto steps = parse_steps(text_of(*results));
    if (!steps) return report(steps.error());
    const auto bars = steps_bars(*steps);
    publish(steps_table(*steps) + bars_text(bars), steps_json(*steps), *json);
    return all_met(bars) ? 0 : kMissed;
  };
}

Run markdown_verb(CLI::App& verb) {
  const auto folder = std::make_shared<std::string>();
  verb.add_option("results", *folder, "Where the parts' folders with their JSON are")->required();
  return [folder] {
    PartTexts texts;
    for (const auto& file : std::filesystem::recursive_directory_iterator(*folder)) {
      const auto name = file.path().lexically_relative(*folder);
      if (name.extension() == ".json") texts[name.string()] = text_of(file.path());
    }
    std::cout << performance_markdown(texts);
    return 0;
  };
}

Run machine_verb(CLI::App& verb) {
  return [json = add_json(verb)] {
    const auto here = this_machine();
    publish(machine_line(here), machine_json(here), *json);
    return 0;
  };
}

struct Verb {
  const char* name;
  const char* help;
  Run (*add)(CLI::App& verb);  ///< its options; what is returned does it
};

constexpr std::array kVerbs{
    Verb{"accuracy", "Compare ticks with the truth of a fleet that has ended", accuracy_verb},
    Verb{"aged-ps", "Print what ps would if some processes were days older", aged_ps_verb},
    Verb{"store", "Ask and write a ledger of a week, and the bare statements beside", store_verb},
    Verb{"events", "Read a log of sentinels at first sight", events_verb},
    Verb{"context", "Ask what ran before a rate limit on a host of many agents", context_verb},
    Verb{"http", "Let wrk ask a collector that runs, and look at its ticks meanwhile", http_verb},
    Verb{"fill", "Write a ledger of a week for an agent that is not metered yet", fill_verb},
    Verb{"growth", "Meter a fleet of one size by /proc and by ps, and the bare minimum beside", growth_verb},
    Verb{"growth-report", "Fit and judge what fleets of several sizes cost", growth_report_verb},
    Verb{"peers", "Meter a fleet in tmux, and let whoever else is installed look at the same host", peers_verb},
    Verb{"sight", "Compare what all of them see of a fleet's short-lived tools", sight_verb},
    Verb{"steps", "Judge what Google Benchmark measured of single steps", steps_verb},
    Verb{"markdown", "Print what the READMEs quote", markdown_verb},
    Verb{"machine", "Name this machine", machine_verb},
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Judges what fleetledger measured and what it cost; exit code 1: a bar was missed"};
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, Run>> verbs;
  for (const auto& verb : kVerbs) {
    auto* added = app.add_subcommand(verb.name, verb.help);
    verbs.emplace_back(added, verb.add(*added));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kFailed;
  }
  for (const auto& [verb, run] : verbs) {
    if (*verb) return run();
  }
  return kFailed;
}
