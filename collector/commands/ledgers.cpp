#include <cstdio>

#include "collector/api/ledger_json.h"
#include "collector/commands/commands.h"
#include "collector/commands/open_ledger.h"
#include "collector/commands/setup.h"
#include "collector/commands/table.h"
#include "config/values.h"

namespace fleetledger {
namespace {

std::string count_text(const std::optional<std::uint32_t>& count) { return count ? std::to_string(*count) : "-"; }

std::string cpu_seconds_text(const SourceSummary& source) {
  const bool estimated = source.estimated.usage > Usage{};
  return (estimated ? "~" : "") + fixed((source.usage + source.estimated.usage).seconds(), 1);
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

int summary_command(const CommonArguments& common, const LedgerArguments& arguments) {
  const auto ledger = open_ledger(common, arguments);
  if (!ledger) {
    return ledger.error();
  }
  const auto summary = ledger->store->summary(ledger->key, ledger->window.since);
  if (!summary) {
    return print_error(summary.error());
  }
  if (common.json) {
    print(summary_json(*summary, ledger->window) + '\n');
    return kExitOk;
  }
  using Align = Table::Align;
  Table table({{"SOURCE", Align::left, 26},
               {"CPU % NOW", Align::right},
               {"AVG", Align::right},
               {"BY TIME", Align::right},
               {"PEAK", Align::right},
               {"CPU s", Align::right},
               {"MiB NOW", Align::right},
               {"PEAK", Align::right},
               {"ROWS", Align::right}});
  bool estimated = false;
  for (const auto& source : summary->sources) {
    estimated = estimated || source.estimated.usage > Usage{};
    table.row({source.source, fixed(source.newest.cpu_percent, 1), fixed(source.avg_cpu_percent, 1),
               source.time_weighted_cpu_percent ? fixed(*source.time_weighted_cpu_percent, 1) : "-",
               fixed(source.peak_cpu_percent, 1), cpu_seconds_text(source),
               mebibytes(static_cast<double>(source.newest.resident.value)),
               mebibytes(static_cast<double>(source.peak_resident.value)), std::to_string(source.sample_count)});
  }
  print(printable(ledger->key.agent.name) + "\nsince " + utc_text(ledger->window.since) + "; " +
        std::to_string(summary->sample_count) + " rows in the ledger\n" + (summary->sources.empty() ? "" : "\n"));
  print(summary->sources.empty() ? "no rows in this time\n" : table.text());
  print(estimated ? "\n~ rows of another sampler do not say their CPU time: theirs is estimated\n" : "");
  return kExitOk;
}

int samples_command(const CommonArguments& common, const LedgerArguments& arguments) {
  const auto ledger = open_ledger(common, arguments);
  if (!ledger) {
    return ledger.error();
  }
  const auto samples = ledger->store->recent_samples(
      ledger->key, {.since = ledger->window.since, .source = arguments.source, .limit = arguments.limit});
  if (!samples) {
    return print_error(samples.error());
  }
  if (common.json) {
    print(samples_json(*samples, ledger->window, arguments.limit) + '\n');
    return kExitOk;
  }
  using Align = Table::Align;
  Table table({{"TIME"},
               {"SOURCE", Align::left, 26},
               {"PID", Align::right},
               {"CPU %", Align::right},
               {"RSS MiB", Align::right},
               {"PROCESSES", Align::right}});
  for (const auto& sample : *samples) {
    table.row({utc_text(sample.ts), sample.source, std::to_string(sample.pid), fixed(sample.cpu_percent, 1),
               mebibytes(static_cast<double>(sample.resident.value)), count_text(sample.processes)});
  }
  print(samples->empty() ? "no rows in this time\n" : table.text());
  return kExitOk;
}

}  // namespace fleetledger
