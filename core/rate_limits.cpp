#include "core/rate_limits.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
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

/// Of a ledger of the agent's own, the events with ts >= since that are not in `ledger`, in the order in which they
/// were written.
Result<std::vector<RateLimitEvent>> uncopied_events(LedgerStore& store, const LedgerKey& ledger, WallTime since) {
  const auto marks = store.read_marks(ledger);
  if (!marks) {
    return fail(marks.error());
  }
  const auto copied_to = marks->find(std::string(kAgentLedger));
  const bool some_copied = copied_to != marks->end();
  auto mark = some_copied ? std::optional(copied_to->second) : std::nullopt;
  std::vector<RateLimitEvent> events;
  for (bool more = true; more;) {
    auto found = store.events_elsewhere(ledger, mark);
    if (!found) {
      return fail(found.error());
    }
    for (auto& event : found->events) {
      // Behind the mark there are known ones too, where the rows were numbered anew or were copied just now.
      const auto known = event.ts >= since && some_copied
                             ? store.rate_limit_event(ledger, event.id)
                             : Result<std::optional<RateLimitEvent>>(std::optional<RateLimitEvent>());
      if (!known) {
        return fail(known.error());
      }
      if (event.ts >= since && !*known) {
        events.push_back(std::move(event));
      }
    }
    more = found->apart && found->more;
    mark = std::move(found->mark);
  }
  return events;
}

/// The order of RateLimitReport::events.
void sort_and_limit(std::vector<RateLimitEvent>& events) {
  std::sort(events.begin(), events.end(), [](const RateLimitEvent& left, const RateLimitEvent& right) {
    return std::tie(left.ts, left.id) > std::tie(right.ts, right.id);
  });
  events.resize(std::min(events.size(), kMostEvents));
}

void count_in(std::vector<RateLimitKind>& kinds, const RateLimitEvent& event) {
  const auto same = [&event](const RateLimitKind& kind) {
    return kind.kind == event.kind && kind.source == event.source;
  };
  auto found = std::find_if(kinds.begin(), kinds.end(), same);
  if (found == kinds.end()) {
    found = kinds.insert(found, {event.kind, event.source, 0, event.ts, event.ts});
  }
  ++found->count;
  found->first = std::min(found->first, event.ts);
  found->last = std::max(found->last, event.ts);
}

/// One event, copied or not.
Result<std::optional<RateLimitEvent>> find_event(LedgerStore& store, const ContextQuestion& question) {
  const auto ledger = ledger_of(question.agents[question.whose]);
  auto event = store.rate_limit_event(ledger, question.event_id);
  if (!event || *event || !question.uncopied) {
    return event;
  }
  auto uncopied = uncopied_events(store, ledger, WallTime::min());
  if (!uncopied) {
    return fail(uncopied.error());
  }
  for (auto& other : *uncopied) {
    if (other.id == question.event_id) {
      return std::optional(std::move(other));
    }
  }
  return std::optional<RateLimitEvent>();
}

/// What an agent's ledger says of the stretch of a context.
Result<Activity> read_activity(LedgerStore& store, const LedgerKey& ledger, const RateLimitContext& context,
                               bool also_uncopied) {
  auto activity = store.activity(ledger, context.since, context.until);
  if (!activity || !also_uncopied) {
    return activity;
  }
  auto uncopied = uncopied_events(store, ledger, context.since + std::chrono::milliseconds{1});
  if (!uncopied) {
    return fail(uncopied.error());
  }
  for (auto& event : *uncopied) {
    if (event.ts <= context.until) {
      activity->events.push_back(std::move(event));
    }
  }
  sort_and_limit(activity->events);
  return activity;
}

}  // namespace

Limit limit_of(const RateLimitEvent& event) {
  if (event.kind == kQuota) {
    return Limit::account;
  }
  return event.kind == kOverload || event.kind == kThrottle ? Limit::server : Limit::unknown;
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

Result<RateLimitReport> report_with_uncopied(LedgerStore& store, const LedgerKey& ledger, WallTime since) {
  auto uncopied = uncopied_events(store, ledger, since);
  if (!uncopied) {
    return fail(uncopied.error());
  }
  auto report = store.rate_limit_report(ledger, since);
  if (!report) {
    return report;
  }
  for (auto& event : *uncopied) {
    count_in(report->by_kind, event);
    ++report->total;
    report->events.push_back(std::move(event));
  }
  sort_and_limit(report->events);
  std::sort(report->by_kind.begin(), report->by_kind.end(), [](const RateLimitKind& left, const RateLimitKind& right) {
    return std::tie(right.count, left.kind, left.source) < std::tie(left.count, right.kind, right.source);
  });
  report->by_kind.resize(std::min(report->by_kind.size(), kMostEvents));
  return report;
}

Result<std::optional<RateLimitContext>> rate_limit_context(LedgerStore& store, const ContextQuestion& question) {
  auto event = find_event(store, question);
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
    auto activity = read_activity(store, ledger_of(question.agents[agent]), context, question.uncopied);
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
