#include "collector/commands/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "collector/commands/commands.h"
#include "collector/commands/table.h"
#include "config/suggestion.h"
#include "config/values.h"

namespace fleetledger {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShortestInterval{100};

/// An option whose value is a duration such as 500ms, 10s, 5m, 7d.
template <typename Duration>
void add_duration(CLI::App& verb, const std::string& name, Duration& into, milliseconds least,
                  const std::string& meaning) {
  verb.add_option_function<std::string>(
          name,
          [&into, least, name](const std::string& text) {
            const auto parsed = parse_duration(text);
            if (!parsed) {
              throw CLI::ValidationError(name, parsed.error().text);
            }
            if (*parsed < least) {
              throw CLI::ValidationError(name, "must be at least " + format_duration(least));
            }
            into = *parsed;
          },
          meaning)
      ->type_name("DURATION");
}

/// The parser would only say that a command is required.
int refuse_unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2) {
    std::fputs(app.help().c_str(), stderr);
    return kExitUsage;
  }
  const std::string_view word = argv[1];
  std::vector<std::string> names;
  for (const auto* verb : app.get_subcommands({})) {
    names.push_back(verb->get_name());
  }
  if (word.starts_with('-') || std::find(names.begin(), names.end(), word) != names.end()) {
    return kExitOk;
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  std::fprintf(stderr, "fleetledger: there is no command %s%s\nRun with --help for more information.\n",
               printable(word).c_str(), did_you_mean(word, known).c_str());
  return kExitUsage;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  CommonArguments common;
  SampleArguments sample;
  TopArguments top;
  Pid explained = 0;
  LedgerArguments ledger;
  RateLimitArguments limits;
  std::function<int()> chosen;

  CLI::App app{
      "One collector per host that says what every AI agent and each of its sessions costs in CPU and memory,\n"
      "and keeps it in a ledger per agent. It only observes.",
      "fleetledger"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("fleetledger ") + FLEETLEDGER_VERSION);
  app.footer(
      "Durations are written 500ms, 10s, 5m, 2h, 7d. Exit codes: 0 ok, 1 failed, 2 usage, 78 bad configuration.\n"
      "Without --config the file is $FLEETLEDGER_CONFIG or $XDG_CONFIG_HOME/fleetledger/config.yaml, if there is one.");

  const auto add_verb = [&](const std::string& name, const std::string& meaning, std::function<int()> run) {
    auto* verb = app.add_subcommand(name, meaning);
    verb->add_option("--config", common.config, "the configuration file (YAML)")->type_name("FILE");
    verb->add_option("--home", common.home, "stands in for the user's home")->type_name("DIR");
    verb->callback([&chosen, run = std::move(run)] { chosen = run; });
    return verb;
  };
  const auto add_json = [&](CLI::App* verb) { verb->add_flag("--json", common.json, "print JSON"); };
  const auto add_ledger = [&](CLI::App* verb, LedgerArguments& of) {
    add_json(verb);
    verb->add_option("agent", of.agent, "its id, path, or name while only one agent has it")
        ->type_name("AGENT")
        ->required();
    add_duration(*verb, "--since", of.since, milliseconds{1},
                 "how far to look back; default " + format_duration(of.since));
  };

  add_verb("run", "meter all agents and serve HTTP until SIGTERM; SIGHUP reads the configuration again",
           [&] { return run_command(common); });
  add_json(add_verb("check", "say what is wrong with the configuration, and what would be metered and how",
                    [&] { return check_command(common); }));
  add_json(add_verb("agents", "list the agents, their live sessions and their newest sample",
                    [&] { return agents_command(common); }));
  auto* top_verb = add_verb("top", "show who uses this host now: agents, sessions, everything else; q ends it", [&] {
    top.once = top.once || common.json;
    return top_command(common, top);
  });
  add_json(top_verb);
  top_verb->add_flag("--once", top.once, "print once and end; --json does so too");
  add_duration(*top_verb, "--interval", top.interval, kShortestInterval,
               "between two refreshes, and between own looks, from 100ms; default 2s");
  auto* explain_verb = add_verb("explain", "say why a process is charged where it is, or to nobody",
                                [&] { return explain_command(common, explained); });
  add_json(explain_verb);
  explain_verb->add_option("pid", explained, "the process")
      ->type_name("PID")
      ->required()
      ->check(CLI::Range(1, std::numeric_limits<Pid>::max()));
  auto* sample_verb = add_verb("sample", "meter a few ticks in the foreground, for the agents whose gate is open",
                               [&] { return sample_command(common, sample); });
  add_json(sample_verb);
  sample_verb->add_option("--ticks", sample.ticks, "how many; default 1")->check(CLI::Range(1, 1'000'000));
  add_duration(*sample_verb, "--interval", sample.interval, kShortestInterval,
               "between two ticks, from 100ms; default 2s");
  sample_verb->add_flag("--record", sample.record, "write the ledgers too");
  add_ledger(add_verb("summary", "latest, average and peak of each source of an agent",
                      [&] { return summary_command(common, ledger); }),
             ledger);
  auto* samples_verb =
      add_verb("samples", "the newest rows of an agent's ledger", [&] { return samples_command(common, ledger); });
  add_ledger(samples_verb, ledger);
  samples_verb->add_option("--source", ledger.source,
                           "of this source only: agent-server, session:ID, aggregate, orphans");
  samples_verb->add_option("--limit", ledger.limit, "at most so many; default 200")->check(CLI::Range(1, 2000));
  auto* limits_verb = add_verb("rate-limits", "how often an agent was throttled, and what ran before",
                               [&] { return rate_limits_command(common, limits); });
  add_ledger(limits_verb, limits.ledger);
  limits_verb->add_flag("--context", limits.context, "also what ran on the whole host before the newest event");
  limits_verb->add_option("--event", limits.event, "only what ran before this one: an id of --json")->type_name("ID");
  add_json(add_verb("version", "say which version this is", [&] { return version_command(common); }));

  if (const int code = refuse_unknown_command(app, argc, argv); code != kExitOk) {
    return code;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    const int code = app.exit(problem);
    return code == 0 ? kExitOk : kExitUsage;
  }
  return chosen();
}

}  // namespace fleetledger
