#include "collector/discovery/gate.h"

#include <algorithm>
#include <string_view>

#include "config/values.h"

namespace fleetledger {
namespace {

/// What an agent's own sampler does where its config says nothing.
constexpr std::chrono::milliseconds kUpstreamInterval{60'000};
constexpr std::chrono::milliseconds kUpstreamIdleInterval{300'000};

std::string_view why_no_development_agent(Flag flag) {
  switch (flag) {
    case Flag::absent:
      return "not a development agent (developmentAgent is absent in config.json)";
    case Flag::wrong_type:
      return "not a development agent (developmentAgent is neither true nor false in config.json)";
    default:
      return "not a development agent (developmentAgent is false in config.json)";
  }
}

void open_gate(const AgentOverride* own, const AgentConfig* config, Decision& decision) {
  if (own != nullptr && own->enabled) {
    decision.gate = {.ledger = *own->enabled, .sampling = *own->enabled};
    decision.reason = *own->enabled ? "enabled by override" : "disabled by override";
  } else if (config == nullptr) {
    decision.gate = {.ledger = true, .sampling = false};
    decision.reason = "its config was never read";
  } else if (config->ledger_enabled == Flag::no) {
    decision.gate = {.ledger = false, .sampling = false};
    decision.reason = "enabled: false in its config";
  } else if (config->ledger_enabled == Flag::yes) {
    decision.gate = {.ledger = true, .sampling = true};
    decision.reason = "enabled: true in its config";
  } else {
    const bool development = config->development_agent == Flag::yes;
    decision.gate = {.ledger = true, .sampling = development};
    decision.reason = development ? "a development agent" : why_no_development_agent(config->development_agent);
  }
}

void set_interval(std::string_view key, const std::optional<std::chrono::milliseconds>& own,
                  const std::optional<std::chrono::milliseconds>& agents, std::chrono::milliseconds& interval,
                  std::vector<std::string>& remarks) {
  if (own) {
    interval = *own;
  } else if (agents) {
    interval = std::max(*agents, kShortestAgentInterval);
    if (*agents < kShortestAgentInterval) {
      remarks.push_back(std::string(key) + " is raised from " + format_duration(*agents) + " to " +
                        format_duration(kShortestAgentInterval) + ", the least there is");
    }
  }
}

}  // namespace

Decision decide(const AgentOverride* own, const AgentConfig* config, const AgentSettings& defaults) {
  const AgentOverride operators = own != nullptr ? *own : AgentOverride{};
  const AgentConfig agents = config != nullptr ? *config : AgentConfig{};
  Decision decision{.gate = {}, .settings = defaults, .reason = {}, .remarks = agents.remarks};
  open_gate(own, config, decision);
  set_interval("sampleIntervalMs", operators.sample_interval, agents.sample_interval, decision.settings.sample_interval,
               decision.remarks);
  set_interval("idleSampleIntervalMs", operators.idle_sample_interval, agents.idle_sample_interval,
               decision.settings.idle_sample_interval, decision.remarks);
  decision.settings.own_sampler_period =
      std::max({agents.sample_interval.value_or(kUpstreamInterval),
                agents.idle_sample_interval.value_or(kUpstreamIdleInterval), kShortestAgentInterval});
  if (operators.retention) {
    decision.settings.retention = *operators.retention;
  } else if (agents.retention) {
    decision.settings.retention = *agents.retention;
  }
  if (operators.location) decision.settings.location = *operators.location;
  return decision;
}

}  // namespace fleetledger
