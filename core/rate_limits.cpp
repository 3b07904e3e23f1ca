#include "core/rate_limits.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace fleetledger {
namespace {

constexpr std::string_view kUnknownAccount = "default";

bool knows_account(const RateLimitEvent& event) {
  return !event.account_key.empty() && event.account_key != kUnknownAccount;
}

/// What an agent's ledger says of the stretch. `event`: the id that is left out; empty: none.
AgentContext context_of(Activity activity, std::size_t agent, const std::string& event) {
  AgentContext context;
  context.agent = agent;
  for (auto& source : activity.sources) {
    context.measured = std::max(context.measured, source.measured);
    if (source.source == kAggregateSource) {
      continue;
    }
    if (source.usage) {
      context.usage = context.usage.value_or(Usage{}) + *source.usage;
    }
    context.sessions += source.source.starts_with(kSessionPrefix) ? 1U : 0U;
    context.sources.push_back(std::move(source));
  }
  for (auto& other : activity.events) {
    if (event.empty() || other.id != event) {
      context.events.push_back(std::move(other));
    }
  }
  return context;
}

}  // namespace

Limit limit_of(const RateLimitEvent& event) {
  if (event.kind == "quota") {
    return Limit::account;
  }
  return event.kind == "529" || event.kind == "throttle" ? Limit::server : Limit::unknown;
}

std::string_view to_string(Limit limit) {
  switch (limit) {
    case Limit::account:
      return "account";
    case Limit::server:
      return "server";
    case Limit::unknown:
      break;
  }
  return "unknown";
}

std::optional<bool> same_account(const RateLimitEvent& left, const RateLimitEvent& right) {
  if (!knows_account(left) || !knows_account(right)) {
    return std::nullopt;
  }
  return left.account_key == right.account_key;
}

Result<std::optional<RateLimitContext>> rate_limit_context(LedgerStore& store, const ContextQuestion& question) {
  auto event = store.rate_limit_event(ledger_of(question.agents[question.whose]), question.event_id);
  if (!event) {
    return fail(event.error());
  }
  if (!*event) {
    return std::optional<RateLimitContext>();
  }
  RateLimitContext context;
  context.event = std::move(**event);
  context.until = context.event.ts;
  context.since = context.until - kContextLength;
  for (std::size_t agent = 0; agent < question.agents.size(); ++agent) {
    const bool whose = agent == question.whose;
    if (!whose && !question.unread[agent].empty()) {
      context.agents.push_back({.agent = agent, .unread = question.unread[agent]});
      continue;
    }
    auto activity = store.activity(ledger_of(question.agents[agent]), context.since, context.until);
    if (activity) {
      context.agents.push_back(context_of(std::move(*activity), agent, whose ? question.event_id : std::string()));
    } else if (whose) {
      return fail(activity.error());
    } else {
      context.agents.push_back({.agent = agent, .unread = activity.error().text});
    }
  }
  std::stable_sort(context.agents.begin(), context.agents.end(),
                   [](const AgentContext& left, const AgentContext& right) { return left.usage > right.usage; });
  return std::optional(std::move(context));
}

std::vector<SharedAccount> shared_accounts(const RateLimitContext& context, std::size_t whose) {
  std::map<std::string, std::set<std::size_t>> users;
  const auto add = [&users](const RateLimitEvent& event, std::size_t agent) {
    if (knows_account(event)) {
      users[event.account_key].insert(agent);
    }
  };
  add(context.event, whose);
  for (const auto& agent : context.agents) {
    for (const auto& event : agent.events) {
      add(event, agent.agent);
    }
  }
  std::vector<SharedAccount> shared;
  for (const auto& [key, agents] : users) {
    if (agents.size() > 1) {
      shared.push_back({key, {agents.begin(), agents.end()}});
    }
  }
  return shared;
}

}  // namespace fleetledger
