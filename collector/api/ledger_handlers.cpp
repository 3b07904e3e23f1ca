#include <utility>

#include "collector/api/answers.h"
#include "collector/api/context_json.h"
#include "collector/api/handlers.h"
#include "collector/api/ledger_json.h"
#include "collector/api/parameters.h"

namespace fleetledger {
namespace {

constexpr std::int64_t kSamples = 200;
constexpr std::int64_t kMostSamples = 2000;
constexpr std::int64_t kBuckets = 200;

Response unavailable() { return error_response(503, "resource ledger unavailable (disabled or not initialized)"); }

Response not_read(const Error& error) {
  auto response = unavailable();
  if (error.kind == Error::Kind::busy) {
    response.headers.emplace_back("Retry-After", "1");
  }
  return response;
}

Window window_of(const Call& call, double default_hours) {
  return window_before(call.state.now, positive_number(call.request.query, "sinceHours", default_hours));
}

/// Why an agent's ledger is not to be read, in plain words; empty: it is.
std::string why_unread(const Call& call, const Agent& agent) {
  if (!agent.gate.ledger) {
    return "its ledger is switched off: " + agent.reason;
  }
  auto status = call.state.status_of(agent);
  return status.state == AgentState::unavailable ? "its ledger is out of use: " + status.reason : std::string();
}

/// Reads by `read(store, ledger)` and answers with `render(what was read)`; 503 without reading if the ledger is
/// switched off or out of use.
template <typename Read, typename Render>
Answer from_ledger(const Call& call, Read read, Render render) {
  const auto& agent = call.state.fleet->agents[call.agent];
  if (!why_unread(call, agent).empty()) {
    return unavailable();
  }
  return StoreRead(
      [ledger = ledger_of(agent), read = std::move(read), render = std::move(render)](LedgerStore& store) {
        const auto found = read(store, ledger);
        return found ? json_response(200, render(*found)) : not_read(found.error());
      },
      agent.identity.id);
}

}  // namespace

Answer answer_summary(const Call& call) {
  const auto window = window_of(call, 1);
  return from_ledger(
      call,
      [since = window.since](LedgerStore& store, const LedgerKey& ledger) { return store.summary(ledger, since); },
      [window](const LedgerSummary& summary) { return summary_json(summary, window); });
}

Answer answer_samples(const Call& call) {
  const auto& query = call.request.query;
  const auto window = window_of(call, 1);
  SampleQuery wanted{.since = window.since,
                     .source = text_value(query, "source"),
                     .limit = limited_count(query, "limit", kSamples, kMostSamples)};
  if (const auto cursor = text_value(query, "cursor")) {
    wanted.before = parse_cursor(*cursor);
    if (!wanted.before) {
      return error_response(400, "cursor is not one that nextCursor gave");
    }
  }
  const auto limit = wanted.limit;
  return from_ledger(
      call,
      [wanted = std::move(wanted)](LedgerStore& store, const LedgerKey& ledger) {
        return store.recent_samples(ledger, wanted);
      },
      [window, limit](const std::vector<Sample>& samples) { return samples_json(samples, window, limit); });
}

Answer answer_rate_limits(const Call& call) {
  const auto window = window_of(call, 24);
  return from_ledger(
      call,
      [since = window.since](LedgerStore& store, const LedgerKey& ledger) {
        return store.rate_limit_report(ledger, since);
      },
      [window](const RateLimitReport& report) { return rate_limits_json(report, window); });
}

Answer answer_rate_limit_context(const Call& call) {
  std::vector<std::string> unread;
  for (const auto& agent : call.state.fleet->agents) {
    unread.push_back(why_unread(call, agent));
  }
  if (!unread[call.agent].empty()) {
    return unavailable();
  }
  const auto reader = call.caller ? ContextReader::agent : ContextReader::operators;
  const auto read = [fleet = call.state.fleet, unread = std::move(unread), whose = call.agent,
                     event_id = *call.variables[1], reader](LedgerStore& store) {
    const auto context =
        rate_limit_context(store, {.agents = fleet->agents, .unread = unread, .whose = whose, .event_id = event_id});
    if (!context) {
      return not_read(context.error());
    }
    return *context ? json_response(200, context_json(**context, fleet->agents, whose, reader))
                    : error_response(404, "no such event");
  };
  return StoreRead(read, StoreRead::kAllLedgers);
}

Answer answer_trend(const Call& call) {
  const auto& query = call.request.query;
  const auto window = window_of(call, 24);
  const TrendQuery wanted{.since = window.since,
                          .until = call.state.now + std::chrono::milliseconds{1},
                          .buckets = limited_count(query, "buckets", kBuckets, kMostBuckets),
                          .source = text_value(query, "source")};
  return from_ledger(
      call, [wanted](LedgerStore& store, const LedgerKey& ledger) { return store.trend(ledger, wanted); },
      [wanted, hours = window.hours](const std::vector<SourceTrend>& trend) {
        return trend_json(trend, wanted, hours);
      });
}

}  // namespace fleetledger
