#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>
#include <utility>

#include "collector/agent_status.h"
#include "collector/api/answers.h"
#include "collector/api/handlers.h"
#include "collector/api/json_writer.h"
#include "collector/api/ledger_json.h"
#include "collector/api/parameters.h"
#include "collector/api/standing.h"

namespace fleetledger {
namespace {

/// CPU time in the interval of the last look. Before there was an interval nothing is known.
void write_cpu(JsonWriter& json, Usage usage, Micros interval) {
  if (interval > Micros{0}) {
    json.field("cpuSeconds", usage.seconds()).field("cpuPercent", cpu_percent(usage, interval));
  } else {
    json.key("cpuSeconds").null().key("cpuPercent").null();
  }
}

void write_amount(JsonWriter& json, Usage usage, Micros interval, Bytes resident, std::uint32_t processes) {
  write_cpu(json, usage, interval);
  json.field("rssBytes", resident).field("processes", processes);
}

RoleTotals all_roles(const AgentNow& agent) {
  RoleTotals all;
  for (const auto& role : agent.roles) {
    all.usage += role.usage;
    all.resident += role.resident;
    all.processes += role.processes;
  }
  return all;
}

void write_role(JsonWriter& json, std::string_view name, const RoleTotals& role, Micros interval) {
  json.key(name).object();
  write_amount(json, role.usage, interval, role.resident, role.processes);
  json.end();
}

/// What the last look says of an agent, its orphans included: "now", null if it was not metered.
void write_now(JsonWriter& json, const AgentNow* now, Micros interval) {
  if (now == nullptr || !now->metered) {
    json.key("now").null().key("orphans").null();
    return;
  }
  write_role(json, "now", all_roles(*now), interval);
  write_role(json, "orphans", now->roles[static_cast<std::size_t>(Role::orphans)], interval);
}

const AgentNow* find_now(const Snapshot& snapshot, const std::string& id) {
  const auto at =
      std::lower_bound(snapshot.agents.begin(), snapshot.agents.end(), id,
                       [](const AgentNow& agent, const std::string& wanted) { return agent.identity.id < wanted; });
  return at == snapshot.agents.end() || at->identity.id != id ? nullptr : &*at;
}

double days(std::chrono::seconds duration) {
  return std::chrono::duration<double, std::chrono::days::period>(duration).count();
}

void write_identity(JsonWriter& json, const AgentIdentity& identity, const AgentStatus& status) {
  json.field("id", identity.id)
      .field("name", identity.name)
      .field("state", to_string(status.state))
      .field("reason", status.reason);
}

/// How its ledger stood after the last writing; nullptr: not known yet.
const LedgerStanding* standing_of(const AgentNow* now) {
  return now != nullptr && now->ledger && now->ledger->standing ? &*now->ledger->standing : nullptr;
}

/// The fields that the list and an agent's own page have in common; leaves the object open.
void write_agent(JsonWriter& json, const Call& call, std::size_t at) {
  const auto& agent = call.state.fleet->agents[at];
  const auto& snapshot = *call.state.snapshot;
  const auto* now = find_now(snapshot, agent.identity.id);
  json.object();
  write_identity(json, agent.identity, call.state.status_of(agent));
  json.field("path", agent.identity.path)
      .field("metered", agent.metered())
      .field("liveSessions", static_cast<std::uint64_t>(agent.live_sessions.size()))
      .field("sampleIntervalMs", std::int64_t{agent.settings.sample_interval.count()})
      .field("idleSampleIntervalMs", std::int64_t{agent.settings.idle_sample_interval.count()})
      .field("retentionDays", days(agent.settings.retention))
      .field("location", to_string(agent.settings.location))
      .field("newestTs", now == nullptr ? std::nullopt : now->newest_row);
  const auto refusal = call.access.refusal(at);
  json.key("token").object().field("usable", refusal.empty()).field("reason", refusal).end();
  write_standing(json.key("samplesAt"), agent, standing_of(now), call.state.now);
  write_now(json, now, snapshot.host.interval);
}

/// Into an open object.
void write_source(JsonWriter& json, const SourceNow& source, Micros interval) {
  json.field("source", source.source).key("sessionName");
  source.session_name.empty() ? json.null() : json.value(source.session_name);
  json.field("pid", source.pid);
  write_amount(json, source.usage, interval, source.resident, source.processes);
}

void write_ledger_health(JsonWriter& json, const StoreLane::Health& health) {
  json.object()
      .field("written", health.written)
      .field("dropped", health.dropped)
      .field("errors", health.errors)
      .field("error", health.error ? std::optional{std::string_view(health.error->text)} : std::nullopt)
      .field("failingSince", health.failing_since)
      .end();
}

/// An agent on the fleet's page. Refers to the fleet and the snapshot that it was made from.
struct FleetRow {
  AgentIdentity identity;
  AgentStatus status;
  std::size_t live_sessions = 0;
  const AgentNow* now = nullptr;    ///< nullptr: it was not there at the last look
  std::optional<LedgerKey> ledger;  ///< nothing: it has none in use

  [[nodiscard]] Usage usage() const { return now != nullptr ? all_roles(*now).usage : Usage{}; }
};

/// Every agent that there is, and those that are only in the last look; the heaviest first.
std::vector<FleetRow> fleet_rows(const ApiState& state) {
  std::vector<FleetRow> rows;
  for (const auto& agent : state.fleet->agents) {
    auto& row = rows.emplace_back(FleetRow{agent.identity, state.status_of(agent), agent.live_sessions.size(),
                                           find_now(*state.snapshot, agent.identity.id), std::nullopt});
    if (agent.gate.ledger && row.status.state != AgentState::unavailable) {
      row.ledger = ledger_of(agent);
    }
  }
  for (const auto& now : state.snapshot->agents) {
    const auto known = [&](const Agent& agent) { return agent.identity.id == now.identity.id; };
    if (std::none_of(state.fleet->agents.begin(), state.fleet->agents.end(), known)) {
      rows.push_back({now.identity, {AgentState::gone, "no longer registered"}, 0, &now, std::nullopt});
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const FleetRow& left, const FleetRow& right) { return left.usage() > right.usage(); });
  return rows;
}

void write_window(JsonWriter& json, const FleetRow& row, const Window& window, LedgerStore& store) {
  json.key("window");
  const auto summary = row.ledger ? store.summary(*row.ledger, window.since) : Result<LedgerSummary>(LedgerSummary{});
  if (!summary) {
    json.null().field("ledgerError", summary.error().text);
    return;
  }
  const auto aggregate = std::find_if(summary->sources.begin(), summary->sources.end(),
                                      [](const SourceSummary& source) { return source.source == kAggregateSource; });
  if (aggregate == summary->sources.end()) {
    json.null();
  } else {
    json.object()
        .field("avgCpuPercent", round_to_hundredths(aggregate->avg_cpu_percent))
        .field("peakCpuPercent", round_to_hundredths(aggregate->peak_cpu_percent))
        .field("avgRssBytes", std::floor(aggregate->avg_resident + 0.5))
        .field("peakRssBytes", aggregate->peak_resident)
        .field("cpuSeconds", aggregate->usage.seconds())
        .field("sampleCount", aggregate->sample_count)
        .field("newestTs", aggregate->newest.ts)
        .field("estimatedCpuSeconds", aggregate->estimated.usage.seconds())
        .field("timeWeightedCpuPercent", round_to_hundredths(aggregate->time_weighted_cpu_percent))
        .end();
  }
  json.key("ledgerError").null();
}

void write_host(JsonWriter& json, const Snapshot& snapshot, Bytes own_resident, const RoleTotals& orphans) {
  const auto& host = snapshot.host;
  const auto interval = host.interval;
  json.key("host").object();
  write_cpu(json, host.busy, interval);
  json.field("cpus", host.cpus)
      .field("memoryTotalBytes", host.memory_total)
      .field("memoryAvailableBytes", host.memory_available)
      .field("processes", static_cast<std::uint64_t>(snapshot.processes))
      .end();
  write_role(json, "orphans", orphans, interval);
  json.key("everythingElse").object();
  write_cpu(json, host.other, interval);
  json.key("top").array();
  for (const auto& program : host.top_others) {
    json.object().field("name", program.name);
    write_amount(json, program.usage, interval, program.resident, program.processes);
    json.end();
  }
  json.end().end();
  json.key("unattributed").object();
  write_cpu(json, host.unattributed, interval);
  json.end().key("rounding").object();
  write_cpu(json, host.rounding, interval);
  json.end().key("collector").object();
  write_cpu(json, host.collector, interval);
  json.field("rssBytes", own_resident).end();
}

/// The sessions of all agents that used most at the last look.
void write_heaviest_sessions(JsonWriter& json, const Snapshot& snapshot) {
  struct Session {
    const AgentNow* agent;
    const SourceNow* source;
  };
  std::vector<Session> sessions;
  for (const auto& agent : snapshot.agents) {
    for (const auto& source : agent.sources) {
      if (role_of(source.source) == Role::sessions) {
        sessions.push_back({&agent, &source});
      }
    }
  }
  const auto heavier = [](const Session& left, const Session& right) {
    return std::tie(right.source->usage, right.source->resident, left.agent->identity.id, left.source->source) <
           std::tie(left.source->usage, left.source->resident, right.agent->identity.id, right.source->source);
  };
  constexpr std::size_t kShown = 10;
  const auto shown = std::min(kShown, sessions.size());
  std::partial_sort(sessions.begin(), sessions.begin() + static_cast<std::ptrdiff_t>(shown), sessions.end(), heavier);
  sessions.resize(shown);
  json.key("heaviestSessions").array();
  for (const auto& [agent, source] : sessions) {
    json.object().field("agentId", agent->identity.id).field("agentName", agent->identity.name);
    write_source(json, *source, snapshot.host.interval);
    json.end();
  }
  json.end();
}

/// How the configuration stands, into an open object.
void write_configuration(JsonWriter& json, const std::optional<ConfigurationStanding>& standing) {
  json.key("configuration");
  if (!standing) {
    json.null();
    return;
  }
  json.object().field("since", standing->since).key("refused");
  if (standing->refused.empty()) {
    json.null();
  } else {
    json.object().field("at", standing->refused_at).field("reason", standing->refused).end();
  }
  json.key("atNextStart").array();
  for (const auto& key : standing->at_next_start) {
    json.value(key);
  }
  json.end().end();
}

/// What the last look says, into an open object. `more` adds to an agent's row.
void write_fleet(JsonWriter& json, const std::vector<FleetRow>& rows, const Snapshot& snapshot, Bytes own_resident,
                 const std::function<void(const FleetRow&)>& more) {
  RoleTotals orphans;
  for (const auto& row : rows) {
    if (row.now != nullptr) {
      const auto& role = row.now->roles[static_cast<std::size_t>(Role::orphans)];
      orphans.usage += role.usage;
      orphans.resident += role.resident;
      orphans.processes += role.processes;
    }
  }
  json.field("ts", snapshot.ts)
      .field("intervalMs", std::int64_t{std::chrono::round<std::chrono::milliseconds>(snapshot.host.interval).count()});
  write_host(json, snapshot, own_resident, orphans);
  write_heaviest_sessions(json, snapshot);
  json.key("agents").array();
  for (const auto& row : rows) {
    json.object();
    write_identity(json, row.identity, row.status);
    json.field("liveSessions", static_cast<std::uint64_t>(row.live_sessions));
    write_now(json, row.now, snapshot.host.interval);
    more(row);
    json.end();
  }
  json.end();
}

}  // namespace

Answer answer_agents(const Call& call) {
  JsonWriter json;
  json.object()
      .field("ts", call.state.snapshot->ts)
      .field("caller", call.caller ? "agent" : "operator")
      .key("agents")
      .array();
  for (std::size_t at = 0; at < call.state.fleet->agents.size(); ++at) {
    if (!call.caller || *call.caller == at) {
      write_agent(json, call, at);
      json.end();
    }
  }
  json.end().end();
  return json_response(200, json.take());
}

Answer answer_agent(const Call& call) {
  const auto& agent = call.state.fleet->agents[call.agent];
  const auto& snapshot = *call.state.snapshot;
  const auto* now = find_now(snapshot, agent.identity.id);
  JsonWriter json;
  write_agent(json, call, call.agent);
  json.field("ts", snapshot.ts).key("sources").array();
  if (now != nullptr) {
    for (const auto& source : now->sources) {
      json.object();
      write_source(json, source, snapshot.host.interval);
      json.end();
    }
  }
  json.end().key("sessions").array();
  for (const auto& session : agent.live_sessions) {
    json.object()
        .field("id", session.id)
        .field("name", session.name)
        .field("tmuxSession", session.tmux_session)
        .field("startedAt", session.started_at)
        .end();
  }
  json.end().key("remarks").array();
  for (const auto& remark : agent.remarks) {
    json.value(remark);
  }
  if (now != nullptr && !now->events_problem.empty()) {
    json.value("rate-limit events: " + now->events_problem);
  }
  if (const auto* standing = standing_of(now)) {
    if (const auto remark = standing_remark(agent, *standing, call.state.now); !remark.empty()) {
      json.value(remark);
    }
  }
  json.end().key("ledger");
  if (now != nullptr && now->ledger) {
    write_ledger_health(json, *now->ledger);
  } else {
    json.null();
  }
  json.end();
  return json_response(200, json.take());
}

Answer answer_fleet_summary(const Call& call) {
  const auto window = window_before(call.state.now, positive_number(call.request.query, "sinceHours", 1));
  return StoreRead(
      [rows = fleet_rows(call.state), snapshot = call.state.snapshot, own_resident = call.state.own_resident,
       configuration = call.state.configuration, window](LedgerStore& store) {
        JsonWriter json;
        json.object().field("windowHours", window.hours).field("sinceMs", window.since);
        write_fleet(json, rows, *snapshot, own_resident,
                    [&](const FleetRow& row) { write_window(json, row, window, store); });
        write_configuration(json, configuration);
        json.end();
        return json_response(200, json.take());
      },
      StoreRead::kAllLedgers);
}

std::string fleet_now_json(const ApiState& state) {
  JsonWriter json;
  json.object();
  write_fleet(json, fleet_rows(state), *state.snapshot, state.own_resident, [](const FleetRow&) {});
  write_configuration(json, state.configuration);
  json.end();
  return json.take();
}

Answer answer_fleet_now(const Call& call) { return json_response(200, fleet_now_json(call.state)); }

}  // namespace fleetledger
