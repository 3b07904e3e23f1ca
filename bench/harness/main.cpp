#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "backends/backends.h"
#include "bench/harness/accuracy.h"
#include "bench/harness/cost.h"
#include "bench/harness/http.h"
#include "bench/harness/machine.h"
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

int judge_accuracy(const std::string& root, const std::string& ticks_file, const std::string& json) {
  const auto ticks = read_ticks(ticks_file);
  if (!ticks) return report(ticks.error());
  const auto truths = read_fleet_truth(root);
  if (!truths) return report(truths.error());
  const auto accuracy = compare(*ticks, *truths, this_machine().cores);
  if (!accuracy) return report(accuracy.error());
  publish(accuracy_table(*accuracy), accuracy_json(*accuracy), json);
  return accuracy->missed.empty() ? 0 : kMissed;
}

int show_cost(const std::string& json) {
  const auto cost = measure_cost(std::cin);
  if (!cost) return report(cost.error());
  publish(cost_table(*cost), cost_json(*cost), json);
  return 0;
}

int show_store(const std::string& json) {
  const auto cost = measure_store();
  if (!cost) return report(cost.error());
  const auto missed = missed_bars(*cost);
  publish(store_table(*cost) + missed, store_json(*cost), json);
  return missed.empty() ? 0 : kMissed;
}

int show_http(HttpTarget target, const std::string& token_file, const std::string& json) {
  std::getline(std::ifstream(token_file), target.token);
  const auto cost = measure_http(target);
  if (!cost) return report(cost.error());
  const auto missed = missed_bars(*cost);
  publish(http_table(*cost) + missed, http_json(*cost), json);
  return missed.empty() ? 0 : kMissed;
}

int fill(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename();
  auto store = open_store("sqlite", {});
  if (!store) return report(store.error());
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const LedgerKey ledger{{agent_id(name, path), name, path}, LedgerLocation::agent};
  const auto filled = fill_ledger(**store, ledger, now);
  return filled ? 0 : report(filled.error());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Judges what fleetledger measured and what it cost; exit code 1: a bar was missed"};
  app.require_subcommand(1);
  std::string root;
  std::string ticks;
  std::string json;
  auto* accuracy = app.add_subcommand("accuracy", "Compare ticks with the truth of a fleet that has ended");
  accuracy->add_option("--fleet", root, "The fleet's folder")->required();
  accuracy->add_option("--ticks", ticks, "What `fleetledger sample --json` printed")->required();
  auto* cost = app.add_subcommand("cost",
                                  "Read the lines of `fleetledger sample --json` from standard input as they "
                                  "come, and run a bare ps and tmux beside each");
  auto* store = app.add_subcommand("store", "Ask and write a ledger of a week, and the bare statements beside");
  HttpTarget target;
  std::string token_file;
  auto* http = app.add_subcommand("http", "Let wrk ask a collector that runs, and look at its ticks meanwhile");
  http->add_option("--address", target.address, "Where it listens: 127.0.0.1:4100")->required();
  http->add_option("--token-file", token_file, "The operator's token")->required();
  http->add_option("--agent", target.agent, "Whose ledger")->required();
  http->add_option("--seconds", target.seconds, "How long, with wrk and before it without")->check(CLI::Range(1, 600));
  std::string agent;
  auto* filling = app.add_subcommand("fill", "Write a ledger of a week for an agent that is not metered yet");
  filling->add_option("--agent", agent, "The agent's path")->required();
  auto* machine = app.add_subcommand("machine", "Name this machine");
  for (auto* verb : {accuracy, cost, http, store, machine})
    verb->add_option("--json", json, "Also write the figures to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kFailed;
  }
  if (*accuracy) return judge_accuracy(root, ticks, json);
  if (*cost) return show_cost(json);
  if (*store) return show_store(json);
  if (*http) return show_http(target, token_file, json);
  if (*filling) return fill(agent);
  const auto here = this_machine();
  publish(machine_line(here), machine_json(here), json);
  return 0;
}
