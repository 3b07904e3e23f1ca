#include <algorithm>
#include <cstdio>
#include <map>
#include <unistd.h>

#include "collector/agent_status.h"
#include "collector/api/access.h"
#include "collector/api/json_writer.h"
#include "collector/api/standing.h"
#include "collector/clock.h"
#include "collector/commands/commands.h"
#include "collector/commands/running_collector.h"
#include "collector/commands/setup.h"
#include "collector/commands/state_folder.h"
#include "collector/commands/survey.h"
#include "collector/commands/table.h"
#include "collector/discovery/roots.h"
#include "collector/sources/procfs_source.h"
#include "collector/token_file.h"
#include "config/values.h"

namespace fleetledger {
namespace {

/// What `check` says of one agent.
struct Finding {
  const Agent* agent = nullptr;
  AgentStatus status;
  std::optional<LedgerStanding> ledger;  ///< nothing: the store cannot be opened
  std::string_view token;                ///< why its own token does not read it over HTTP; empty if it does
  std::vector<std::string> remarks;
};

struct Findings {
  WallTime now = system_clock().wall();
  std::vector<Problem> problems;
  std::vector<std::string> remarks;
  std::shared_ptr<const Fleet> fleet = std::make_shared<const Fleet>();
  std::vector<Finding> agents;
};

/// What `run` needs besides agents: its own folder and its tokens.
std::vector<Problem> problems_of_start(const Setup& setup) {
  std::vector<Problem> problems;
  if (const auto good = check_state_folder(setup.places.state); !good) {
    problems.push_back({setup.places.state, 0, "", good.error().text});
  }
  const auto& http = setup.config.http;
  const auto check_token = [&](const char* key, const std::string& path, const char* what) {
    if (const auto token = read_token_file(path, what); !token) {
      problems.push_back({setup.file, 0, key, token.error().text});
    }
  };
  if (http.enabled) {
    check_token("http.operator_token_file", http.operator_token_file, "the operator's token");
  }
  if (http.enabled && http.metrics_auth == MetricsAuth::token) {
    check_token("http.metrics_token_file", http.metrics_token_file, "the metrics token");
  }
  return problems;
}

/// The same steps as the daemon's: files, look, panes, roots.
Findings find_out(const Setup& setup) {
  Findings findings;
  findings.problems = setup.problems;
  for (const auto& remark : setup.remarks) {
    findings.remarks.push_back(to_string(remark));
  }
  if (!setup.problems.empty()) {
    return findings;
  }
  findings.problems = problems_of_start(setup);
  findings.fleet = read_fleet(setup);
  const auto survey = survey_host(setup, *findings.fleet);
  if (!survey.processes) {
    const bool by_ps = setup.config.sampling.source == ProcessSourceKind::ps;
    findings.problems.push_back(
        {setup.file, 0, by_ps ? "sampling.ps" : "sampling.source", survey.processes.error().text});
  }
  if (const auto missing = procfs_restriction(); !missing.empty()) {
    findings.remarks.push_back("sampling.source: " + missing);
  }
  if (!survey.panes) {
    findings.problems.push_back({setup.file, 0, "sampling.tmux", survey.panes.error().text});
  }
  findings.remarks.insert(findings.remarks.end(), findings.fleet->remarks.begin(), findings.fleet->remarks.end());

  std::multimap<std::string, std::string> refused;
  if (survey.processes) {
    RootResolver resolver(geteuid());
    const auto resolved = resolver.resolve(*findings.fleet, survey.panes.value_or(std::vector<Pane>{}),
                                           *survey.processes, system_clock().wall());
    refused.insert(resolved.remarks.begin(), resolved.remarks.end());
  }
  const auto store = open_configured_store(setup);
  const auto unavailable = unavailable_agents(setup);
  const Access access(ApiKeys{}, findings.fleet);
  for (std::size_t at = 0; at < findings.fleet->agents.size(); ++at) {
    const auto& agent = findings.fleet->agents[at];
    Finding finding{&agent, {agent.state(), agent.reason}, std::nullopt, access.refusal(at), agent.remarks};
    if (store && !agent.silent_since) {
      auto ledger = survey_ledger(*store, agent, findings.now, unavailable);
      finding.status = std::move(ledger.status);
      if (auto remark = standing_remark(agent, ledger.standing, findings.now); !remark.empty()) {
        finding.remarks.push_back(std::move(remark));
      }
      finding.ledger = std::move(ledger.standing);
    }
    const auto [first, last] = refused.equal_range(agent.identity.id);
    std::for_each(first, last, [&](const auto& entry) { finding.remarks.push_back(entry.second); });
    findings.agents.push_back(std::move(finding));
  }
  return findings;
}

double days(std::chrono::seconds duration) {
  return std::chrono::duration<double, std::chrono::days::period>(duration).count();
}

std::string json_of(const Findings& findings) {
  JsonWriter json;
  json.object().key("problems").array();
  for (const auto& problem : findings.problems) {
    json.object()
        .field("file", problem.file)
        .field("line", problem.line)
        .field("key", problem.key)
        .field("message", problem.message)
        .end();
  }
  json.end().key("agents").array();
  for (const auto& [agent, status, ledger, token, remarks] : findings.agents) {
    json.object()
        .field("id", agent->identity.id)
        .field("name", agent->identity.name)
        .field("path", agent->identity.path)
        .field("state", to_string(status.state))
        .field("reason", status.reason)
        .field("sampleIntervalMs", std::int64_t{agent->settings.sample_interval.count()})
        .field("idleSampleIntervalMs", std::int64_t{agent->settings.idle_sample_interval.count()})
        .field("retentionDays", days(agent->settings.retention))
        .field("ledger", ledger ? ledger->place : "")
        .key("samplesAt");
    write_standing(json, *agent, ledger ? &*ledger : nullptr, findings.now);
    json.key("token").object().field("usable", token.empty()).field("reason", token).end().key("remarks").array();
    for (const auto& remark : remarks) {
      json.value(remark);
    }
    json.end().end();
  }
  json.end().key("remarks").array();
  for (const auto& remark : findings.remarks) {
    json.value(remark);
  }
  json.end().end();
  return json.take();
}

std::string text_of(const Findings& findings, const Setup& setup) {
  std::string text = "config: " + setup.file + (access(setup.file.c_str(), F_OK) == 0 ? "\n" : " (none: defaults)\n");
  for (const auto& problem : findings.problems) {
    text += "problem: " + printable(to_string(problem)) + '\n';
  }
  for (const auto& remark : findings.remarks) {
    text += "remark: " + printable(remark) + '\n';
  }
  if (!setup.problems.empty()) {
    return text;
  }
  if (findings.agents.empty()) {
    return text + "no agents found\n";
  }
  using Align = Table::Align;
  Table table({{"AGENT", Align::left, 30},
               {"STATE"},
               {"ACTIVE s", Align::right},
               {"IDLE s", Align::right},
               {"DAYS", Align::right}});
  for (const auto& finding : findings.agents) {
    const auto& settings = finding.agent->settings;
    table.row({finding.agent->identity.id, std::string(to_string(finding.status.state)),
               fixed(static_cast<double>(settings.sample_interval.count()) / 1000, 1),
               fixed(static_cast<double>(settings.idle_sample_interval.count()) / 1000, 1),
               fixed(days(settings.retention), 1)});
  }
  text += '\n' + table.text();
  for (const auto& finding : findings.agents) {
    text += '\n' + finding.agent->identity.id + '\n';
    text += "  path    " + printable(finding.agent->identity.path) + '\n';
    if (finding.ledger) {
      const auto& since = finding.ledger->central_since;
      text +=
          "  ledger  " + printable(finding.ledger->place) + (since ? " (since " + utc_text(*since) + ")" : "") + '\n';
    }
    text += finding.status.reason.empty() ? "" : "  why     " + printable(finding.status.reason) + '\n';
    if (!finding.token.empty()) {
      text += "  http    read with the operator's token only: " + std::string(finding.token) + '\n';
    }
    for (const auto& remark : finding.remarks) {
      text += "  remark  " + printable(remark) + '\n';
    }
  }
  return text;
}

}  // namespace

int check_command(const CommonArguments& common) {
  const auto setup = load_setup(common);
  const auto findings = find_out(setup);
  const auto text = common.json ? json_of(findings) + '\n' : text_of(findings, setup);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return findings.problems.empty() ? kExitOk : kExitBadConfig;
}

}  // namespace fleetledger
