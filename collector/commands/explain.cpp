#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>

#include "collector/api/api.h"
#include "collector/clock.h"
#include "collector/commands/commands.h"
#include "collector/commands/running_collector.h"
#include "collector/commands/setup.h"
#include "collector/commands/survey.h"
#include "collector/commands/table.h"
#include "collector/discovery/declarations.h"
#include "collector/explanation.h"
#include "collector/log.h"
#include "config/json.h"

namespace fleetledger {
namespace {

/// The same steps as the collector's, for one look of our own.
Result<Explanation> look_and_explain(const Setup& setup, Pid pid) {
  const auto fleet = read_fleet(setup);
  const auto survey = survey_host(setup, *fleet);
  if (!survey.processes) {
    return fail(survey.processes.error());
  }
  if (!survey.panes) {
    print_error({survey.panes.error().text + "; which processes are sessions is not known"});
  }
  const auto& table = *survey.processes;
  const auto scope = setup.config.sampling.scope;
  const auto wall = system_clock().wall();
  RootResolver resolver(geteuid());
  auto resolved = resolver.resolve(*fleet, survey.panes.value_or(std::vector<Pane>{}), table, wall);
  const auto charge_all = [&] {
    Membership nothing_remembered;
    return charge({}, table, resolved.roots, nothing_remembered, scope);
  };
  auto charges = charge_all();
  Declarations declarations(geteuid());
  if (const auto environments = make_environment_source(geteuid()); environments && scope == Scope::tree) {
    const auto wanted = declarations.to_read(table, charges, table.size());
    declarations.keep(environments->read(wanted, table.moment().start_slack));
    resolved.roots.declared = declarations.claims(*fleet, resolved);
    charges = charge_all();
  }
  auto explanation =
      explain(pid, {.fleet = *fleet,
                    .resolved = resolved,
                    .table = table,
                    .charges = charges,
                    .scope = scope,
                    .user = geteuid(),
                    .first_look = BootTime::min(),  // everything is older than one look: the answer's end says so
                    .environment_asked = [&](const ProcessKey& process) { return declarations.asked(process); }});
  if (!explanation) {
    return fail("there is no process " + std::to_string(pid));
  }
  explanation->ts = wall;
  explanation->one_look = true;
  return std::move(*explanation);
}

std::string text_of(const JsonValue& member) { return printable(member.text().value_or("")); }

std::string process_of(const JsonValue& of) {
  return std::to_string(of.member("pid").integer().value_or(0)) + " (" + text_of(of.member("name")) + ")";
}

std::string whose(const JsonValue& explanation) {
  if (const auto agent = explanation.member("agentId"); !agent.is_null()) {
    return text_of(explanation.member("source")) + " of agent " + text_of(agent);
  }
  return explanation.member("why").text() == to_string(Attribution::collector)
             ? "the collector's"
             : "nobody's: it counts as everything else";
}

/// The answer for people. `why_own`: why the collector that runs was not asked.
std::string text_of(const JsonValue& explanation, const std::string& why_own) {
  auto text = process_of(explanation) + ": " + whose(explanation) + '\n';
  const auto steps = explanation.member("steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    text += "  " + process_of(steps.element(i)) + " " + text_of(steps.element(i).member("text")) + '\n';
  }
  if (explanation.member("oneLook").boolean().value_or(false)) {
    return text + "seen by one look of this command's own (" + printable(why_own) +
           "): what a collector remembers of earlier looks is not known to it\n";
  }
  const WallTime ts{std::chrono::milliseconds{explanation.member("ts").integer().value_or(0)}};
  const auto age = std::chrono::floor<std::chrono::seconds>(system_clock().wall() - ts).count();
  return text + "seen by the collector, " + std::to_string(std::max<std::int64_t>(age, 0)) + " s ago\n";
}

}  // namespace

int explain_command(const CommonArguments& common, Pid pid) {
  const auto setup = load_good_setup(common);
  if (!setup) {
    return kExitBadConfig;
  }
  log::set_level(LogLevel::error);
  auto json = ask_running_collector(*setup, "/processes/" + std::to_string(pid));
  std::string why_own = json ? "" : json.error().text;
  if (!json) {
    const auto explanation = look_and_explain(*setup, pid);
    if (!explanation) {
      return print_error(explanation.error());
    }
    json = explanation_json(*explanation);
  }
  const auto parsed = JsonDocument::parse(*json);
  if (!parsed || !parsed->root().member("steps").is_array()) {
    return print_error({"the collector's answer is not understood"});
  }
  const auto text = common.json ? *json + '\n' : text_of(parsed->root(), why_own);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kExitOk;
}

}  // namespace fleetledger
