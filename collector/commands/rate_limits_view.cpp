#include "collector/commands/rate_limits_view.h"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>
#include <vector>

#include "collector/commands/table.h"
#include "config/values.h"

namespace fleetledger {
namespace {

using Align = Table::Align;

constexpr std::size_t kShown = 20;

std::string counted(std::size_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

/// What is told of the reason, in one cell.
std::string why(const RateLimitEvent& event) {
  const auto reason = event.reason.value_or("");
  const auto detail = event.detail.value_or("");
  if (reason.empty() || detail.empty()) {
    return reason + detail;
  }
  // "throttle-detected" tells nothing that "throttle" does not, and there is little room.
  return reason.starts_with(event.kind) ? detail : reason + ": " + detail;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

/// `widest`: of a kind; what that leaves of 80 columns is for the reason.
std::string events_table(std::span<const RateLimitEvent> events, std::size_t widest) {
  Table table(
      {{"TIME"}, {"KIND", Align::left, widest}, {"SESSION", Align::left, 16}, {"WHY", Align::left, 38 - widest}});
  for (const auto& event : events.first(std::min(events.size(), kShown))) {
    table.row({utc_text(event.ts), event.kind, or_dash(event.session_name.value_or("")), or_dash(why(event))});
  }
  return table.text();
}

std::string seconds(const std::optional<Usage>& usage) { return usage ? fixed(usage->seconds(), 1) : "?"; }

std::string_view limit_words(Limit limit) {
  switch (limit) {
    case Limit::account:
      return "the account's quota, which all who use the account share";
    case Limit::server:
      return "a server that throttles, whoever asks";
    case Limit::unknown:
      break;
  }
  return "not known whether by quota or by the server";
}

/// What of an agent ran: its server, a session by its name while that lives, what it left behind.
std::string source_name(const Agent& agent, const std::string& source) {
  if (!source.starts_with(kSessionPrefix)) {
    return source;
  }
  const auto id = source.substr(kSessionPrefix.size());
  for (const auto& session : agent.live_sessions) {
    if (session.id == id && !session.name.empty()) {
      return session.name;
    }
  }
  return id;
}

std::string sources_text(const RateLimitContext& context, std::span<const Agent> agents) {
  using Row = std::tuple<std::optional<Usage>, std::size_t, const SourceActivity*>;
  std::vector<Row> rows;
  for (const auto& agent : context.agents) {
    for (const auto& source : agent.sources) {
      rows.emplace_back(source.usage, agent.agent, &source);
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return std::get<0>(a) > std::get<0>(b); });
  if (rows.empty()) {
    return "no agent has rows of that time\n";
  }
  Table table({{"AGENT", Align::left, 24}, {"WHAT", Align::left, 28}, {"CPU s", Align::right}, {"SEEN", Align::right}});
  for (const auto& [usage, agent, source] : std::span(rows).first(std::min(rows.size(), kShown))) {
    table.row({agents[agent].identity.name, source_name(agents[agent], source->source), seconds(usage),
               fmt::format("{} s", std::chrono::round<std::chrono::seconds>(source->measured).count())});
  }
  std::optional<Usage> all;
  std::size_t sessions = 0;
  std::size_t ran = 0;
  for (const auto& agent : context.agents) {
    if (agent.usage) {
      all = all.value_or(Usage{}) + *agent.usage;
    }
    sessions += agent.sessions;
    ran += agent.sources.empty() ? 0U : 1U;
  }
  const auto left_out = rows.size() > kShown ? fmt::format("and {} more\n", rows.size() - kShown) : std::string();
  return table.text() + left_out + "together " + seconds(all) + " CPU s; " + counted(sessions, "session", "sessions") +
         " of " + counted(ran, "agent", "agents") + " ran\n";
}

std::string others_text(const RateLimitContext& context, std::span<const Agent> agents) {
  std::vector<std::pair<const RateLimitEvent*, std::size_t>> events;
  for (const auto& agent : context.agents) {
    for (const auto& event : agent.events) {
      events.emplace_back(&event, agent.agent);
    }
  }
  if (events.empty()) {
    return {};
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const auto& left, const auto& right) { return left.first->ts > right.first->ts; });
  Table table({{"TIME"}, {"AGENT", Align::left, 20}, {"KIND", Align::left, 15}, {"SAME ACCOUNT"}});
  for (const auto& [event, agent] : std::span(events).first(std::min(events.size(), kShown))) {
    const auto same = same_account(*event, context.event);
    table.row({utc_text(event->ts), agents[agent].identity.name, event->kind,
               !same   ? "unknown"
               : *same ? "yes"
                       : "no"});
  }
  const auto left_out = events.size() > kShown ? fmt::format("and {} more\n", events.size() - kShown) : std::string();
  return "\nother events in that time\n" + table.text() + left_out;
}

}  // namespace

std::string rate_limits_text(const RateLimitReport& report, const Window& window, const std::string& agent_name) {
  std::int64_t opened = 0;
  Table kinds({{"KIND", Align::left, 15}, {"SOURCE", Align::left, 16}, {"COUNT", Align::right}, {"NEWEST"}});
  for (const auto& kind : report.by_kind) {
    opened += kind.kind == kCircuitOpen ? kind.count : 0;
    kinds.row({kind.kind, kind.source, std::to_string(kind.count), utc_text(kind.last)});
  }
  auto text = printable(agent_name) + "\nsince " + utc_text(window.since) + ": ";
  if (report.total == 0) {
    text += "no rate limits\n";
  } else {
    const auto total = static_cast<std::size_t>(report.total);
    text += counted(total, "event", "events") + "; the breaker opened " +
            fixed(static_cast<double>(opened) / window.hours, 2) + " times an hour\n\n" + kinds.text() + "\n" +
            events_table(report.events, 15);
    text += total > kShown ? fmt::format("and {} older ones\n", total - kShown) : std::string();
  }
  if (!report.recoveries.empty()) {
    text += "\nhow sessions came out of it (not counted)\n" + events_table(report.recoveries, 20);
    text += report.recoveries.size() > kShown ? "and older ones\n" : "";
  }
  return text;
}

std::string context_text(const RateLimitContext& context, std::span<const Agent> agents, std::size_t whose) {
  const auto& event = context.event;
  const auto by = event.session_name ? ", session " + printable(*event.session_name) : std::string();
  auto text = "what ran on this host in the five minutes before " + utc_text(event.ts) + "\n" +
              printable(shortened(event.kind, 20)) + " of " + printable(shortened(agents[whose].identity.name, 30)) +
              printable(shortened(by, 40)) + "\n";
  text += "the limit: " + std::string(limit_words(limit_of(event))) + "\n";
  text += "\n" + sources_text(context, agents) + others_text(context, agents);
  for (const auto& account : shared_accounts(context, whose)) {
    std::string names;
    for (const auto agent : account.agents) {
      names += (names.empty() ? "" : ", ") + printable(agents[agent].identity.name);
    }
    text += "\nthe same account, " + printable(shortened(account.key, 30)) + ": " + names + "\n";
  }
  for (const auto& agent : context.agents) {
    if (!agent.unread.empty()) {
      text += "\nnot read: " + printable(agents[agent.agent].identity.name) + ": " + printable(agent.unread) + "\n";
    }
  }
  return text;
}

}  // namespace fleetledger
