#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/fleet/fleet.h"
#include "bench/fleet/load.h"

// fleetledger-fleet: makes the synthetic fleets of the demo, the tests and the benches, and is what runs in them.

namespace {

using namespace fleetledger;
using namespace fleetledger::fleet;

int report(const Result<void>& result) {
  if (result) return 0;
  std::cerr << "fleetledger-fleet: " << result.error().text << '\n';
  return 1;
}

/// "500ms", "2s", "5m" as microseconds; a bare number is seconds.
Micros micros(const std::string& text) {
  std::size_t used = 0;
  double number = -1;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    throw CLI::ValidationError("\"" + text + "\" is no duration");
  }
  const std::string unit = text.substr(used);
  const double scale = unit == "us"                  ? 1
                       : unit == "ms"                ? 1e3
                       : unit == "s" || unit.empty() ? 1e6
                       : unit == "m"                 ? 6e7
                                                     : 0;
  if (scale == 0 || !(number >= 0 && number < 1e9)) throw CLI::ValidationError("\"" + text + "\" is no duration");
  return Micros{static_cast<Micros::rep>(number * scale)};
}

/// Unwraps what CLI11 checks while it parses.
template <typename T>
T checked(Result<T> result) {
  if (!result) throw CLI::ValidationError(result.error().text);
  return std::move(*result);
}

std::string kinds_help() {
  std::string text = "KIND or KIND:NUMBER; the number is percent of a core (leaker: MiB per second). Kinds:";
  for (const auto kind : load_kinds()) text += " " + std::string(kind);
  return text;
}

void add_root(CLI::App* verb, std::string& root) { verb->add_option("--root", root, "The fleet's folder")->required(); }

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Synthetic fleets of agents with a known use of CPU and memory"};
  app.require_subcommand(1);

  FleetOptions fleet;
  RunOptions run;
  LoadOptions load;
  std::string root;
  bool keep = false;
  bool with_parent = false;

  auto* start = app.add_subcommand("start", "Make a fleet and keep it going until a signal; then end and remove it");
  add_root(start, fleet.root);
  start->add_option("--agents", fleet.agents, "Number of agents")->check(CLI::Range(1, 10'000));
  start->add_option("--sessions", fleet.sessions, "Number of sessions of each agent")->check(CLI::Range(0, 10'000));
  start->add_option("--names", fleet.names, "Names of the agents")->delimiter(',');
  start->add_option_function<std::string>(
      "--loads", [&](const std::string& text) { fleet.loads = checked(parse_loads(text)); },
      "Loads of the sessions in turn, separated by commas: " + kinds_help());
  start->add_option_function<std::string>(
      "--server-load", [&](const std::string& text) { fleet.server_load = checked(parse_load(text)); },
      "Load of every agent's server (idle)");
  start
      ->add_option("--not-development", fleet.not_development, "So many agents, the last ones, are not for development")
      ->check(CLI::NonNegativeNumber);
  start->add_option("--ended-files", fleet.ended_files, "Files of ended sessions in each agent")
      ->check(CLI::NonNegativeNumber);
  start->add_option_function<int>(
      "--interval-ms", [&](int ms) { fleet.interval = std::chrono::milliseconds{ms}; },
      "sampleIntervalMs in the agents' configs");
  start->add_option_function<int>(
      "--idle-interval-ms", [&](int ms) { fleet.idle_interval = std::chrono::milliseconds{ms}; },
      "idleSampleIntervalMs in the agents' configs");
  start->add_option_function<std::string>(
      "--cpu", [&](const std::string& text) { fleet.cpu_limit = micros(text); },
      "A session ends when it has used so much CPU time (2s, 500ms)");
  start->add_option("--seed", fleet.seed, "Seed of the loads' bursts and of the agents' tokens");
  start->add_option("--tmux", fleet.tmux, "The tmux program");
  start->add_flag_callback(
      "--no-tmux", [&] { fleet.with_tmux = false; },
      "Sessions are bare processes, for thousands of them; ROOT/list-panes stands in for tmux");
  start->add_option_function<int>(
      "--heartbeat-ms", [&](int ms) { run.heartbeat = std::chrono::milliseconds{ms}; },
      "Between writings of the registry (10000)");
  start->add_option_function<std::string>(
      "--for",
      [&](const std::string& text) {
        run.duration = std::chrono::duration_cast<std::chrono::milliseconds>(micros(text));
      },
      "End by itself after this time");
  start->add_flag("--keep", run.keep, "Leave the files when it ends");
  start->add_flag("--with-parent", with_parent, "End also when the process that started this one ends");

  auto* stop = app.add_subcommand("stop", "End a fleet, also one whose generator was killed, and remove its files");
  add_root(stop, root);
  stop->add_flag("--keep", keep, "Leave the files");

  auto* one = app.add_subcommand("load", "Run one load in this process");
  one->add_option_function<std::string>(
         "load", [&](const std::string& text) { load.spec = checked(parse_load(text)); }, kinds_help())
      ->required();
  one->add_option("--truth", load.truth, "Where it tells what it used: TRUTH.jsonl and TRUTH.account")->required();
  one->add_option("--seed", load.seed, "Seed of its bursts");
  one->add_option_function<std::string>(
      "--cpu", [&](const std::string& text) { load.cpu_limit = micros(text); }, "End when it has used this CPU time");

  auto* guard = app.add_subcommand("guard", "Wait for the end of a fleet's generator, then end what it left");
  add_root(guard, root);
  auto* hold = app.add_subcommand("hold", "Run the sessions of a fleet without tmux");
  add_root(hold, root);
  for (auto* hidden : {guard, hold}) hidden->group("");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (*stop) return report(stop_fleet(root, keep));
  if (*guard) return report(guard_fleet(root));
  if (*hold) return report(hold_sessions(root));
  if (*one) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return report(run_load(load));
  }
  if (with_parent) {
    const pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return 1;
  }
  run.program = std::filesystem::read_symlink("/proc/self/exe").string();
  return report(
      run_fleet(fleet, run, [](const Fleet& running) { std::cout << "ready " << running.root << std::endl; }));
}
