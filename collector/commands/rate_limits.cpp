#include <algorithm>
#include <cstdio>
#include <string>

#include "collector/api/context_json.h"
#include "collector/api/ledger_json.h"
#include "collector/commands/commands.h"
#include "collector/commands/open_ledger.h"
#include "collector/commands/rate_limits_view.h"
#include "collector/commands/setup.h"

namespace fleetledger {
namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

/// The newest event that says that a limit was met: a breaker that closed again does not.
const RateLimitEvent* newest_limit(const RateLimitReport& report) {
  const auto found = std::find_if(report.events.begin(), report.events.end(),
                                  [](const RateLimitEvent& event) { return event.kind != kCircuitRecover; });
  return found == report.events.end() ? nullptr : &*found;
}

std::size_t place_of(const OpenLedger& ledger) {
  return static_cast<std::size_t>(ledger.agent - ledger.fleet->agents.data());
}

/// As the collector asks, of files alone: nobody says which ledgers it found out of use.
Result<std::optional<RateLimitContext>> read_context(const OpenLedger& ledger, const std::string& event_id) {
  const auto& agents = ledger.fleet->agents;
  std::vector<std::string> unread;
  for (const auto& agent : agents) {
    unread.push_back(agent.gate.ledger ? std::string() : "its ledger is switched off: " + agent.reason);
  }
  return rate_limit_context(
      *ledger.store,
      {.agents = agents, .unread = unread, .whose = place_of(ledger), .event_id = event_id, .uncopied = true});
}

int print_context(const CommonArguments& common, const OpenLedger& ledger, const std::string& event_id) {
  const auto context = read_context(ledger, event_id);
  if (!context) {
    return print_error(context.error());
  }
  if (!*context) {
    return print_error({"agent " + ledger.key.agent.id + " has no rate-limit event " + event_id});
  }
  const auto& agents = ledger.fleet->agents;
  const auto whose = place_of(ledger);
  print(common.json ? context_json(**context, agents, whose, ContextReader::operators) + '\n'
                    : context_text(**context, agents, whose));
  return kExitOk;
}

}  // namespace

int rate_limits_command(const CommonArguments& common, const RateLimitArguments& arguments) {
  const auto ledger = open_ledger(common, arguments.ledger);
  if (!ledger) {
    return ledger.error();
  }
  if (arguments.event) {
    return print_context(common, *ledger, *arguments.event);
  }
  const auto report = report_with_uncopied(*ledger->store, ledger->key, ledger->window.since);
  if (!report) {
    return print_error(report.error());
  }
  if (!common.json) {
    print(rate_limits_text(*report, ledger->window, ledger->key.agent.name));
  } else if (!arguments.context) {
    print(rate_limits_json(*report, ledger->window) + '\n');
  }
  if (!arguments.context) {
    return kExitOk;
  }
  const auto* newest = newest_limit(*report);
  if (newest == nullptr) {
    return common.json ? print_error({"no limit was met in this time"}) : kExitOk;
  }
  print(common.json ? "" : "\n");
  return print_context(common, *ledger, newest->id);
}

}  // namespace fleetledger
