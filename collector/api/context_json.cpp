#include "collector/api/context_json.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "collector/api/json_writer.h"
#include "collector/api/ledger_json.h"

namespace fleetledger {
namespace {

using Milliseconds = std::chrono::milliseconds;

std::optional<double> seconds(const std::optional<Usage>& usage) {
  return usage ? std::optional{usage->seconds()} : std::nullopt;
}

std::int64_t milliseconds(Micros duration) { return std::chrono::round<Milliseconds>(duration).count(); }

/// The name of a session that lives; others are known by their ids alone.
std::optional<std::string_view> session_name(const Agent& agent, std::string_view source) {
  if (!source.starts_with(kSessionPrefix)) {
    return std::nullopt;
  }
  const auto id = source.substr(kSessionPrefix.size());
  const auto found = std::find_if(agent.live_sessions.begin(), agent.live_sessions.end(),
                                  [id](const Session& session) { return session.id == id; });
  return found == agent.live_sessions.end() ? std::nullopt : std::optional<std::string_view>(found->name);
}

class Writer {
 public:
  Writer(const RateLimitContext& context, std::span<const Agent> agents, std::size_t whose, ContextReader reader)
      : context_(context), agents_(agents), whose_(whose), reader_(reader) {}

  std::string take() && {
    json_.object();
    write_identity(whose_);
    json_.field("scope", reader_ == ContextReader::operators ? "host" : "agent").key("event").object();
    write_event_fields(json_, context_.event);
    json_.end()
        .field("sinceMs", context_.since)
        .field("untilMs", context_.until)
        .field("windowMs", std::int64_t{kContextLength.count()});
    write_sums();
    write_agents();
    write_sources();
    write_events();
    write_accounts();
    write_unread();
    json_.end();
    return json_.take();
  }

 private:
  [[nodiscard]] bool told(std::size_t agent) const { return reader_ == ContextReader::operators || agent == whose_; }

  void write_identity(std::size_t agent) {
    json_.field("agentId", agents_[agent].identity.id).field("agentName", agents_[agent].identity.name);
  }

  void write_sums() {
    std::optional<Usage> usage;
    std::size_t ran = 0;
    std::size_t sessions = 0;
    std::size_t events = 0;
    std::size_t unread = 0;
    for (const auto& agent : context_.agents) {
      if (agent.usage) {
        usage = usage.value_or(Usage{}) + *agent.usage;
      }
      ran += agent.sources.empty() ? 0U : 1U;
      sessions += agent.sessions;
      events += agent.events.size();
      unread += agent.unread.empty() ? 0U : 1U;
    }
    json_.key("allAgents")
        .object()
        .field("cpuSeconds", seconds(usage))
        .field("agents", std::uint64_t{ran})
        .field("liveSessions", std::uint64_t{sessions})
        .field("otherEvents", std::uint64_t{events})
        .field("notRead", std::uint64_t{unread})
        .end();
  }

  void write_agents() {
    json_.key("agents").array();
    for (const auto& agent : context_.agents) {
      if (told(agent.agent) && !agent.sources.empty()) {
        json_.object();
        write_identity(agent.agent);
        json_.field("cpuSeconds", seconds(agent.usage))
            .field("measuredMs", milliseconds(agent.measured))
            .field("liveSessions", std::uint64_t{agent.sessions})
            .end();
      }
    }
    json_.end();
  }

  void write_sources() {
    struct Row {
      std::size_t agent;
      const SourceActivity* source;
    };
    std::vector<Row> rows;
    for (const auto& agent : context_.agents) {
      for (const auto& source : agent.sources) {
        if (told(agent.agent)) {
          rows.push_back({agent.agent, &source});
        }
      }
    }
    const auto before = [](const Row& left, const Row& right) {
      return std::tie(right.source->usage, left.agent, left.source->source) <
             std::tie(left.source->usage, right.agent, right.source->source);
    };
    const std::size_t shown = std::min(rows.size(), kMostContextSources);
    std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end(), before);
    json_.key("sources").array();
    for (const auto& [agent, source] : std::span(rows).first(shown)) {
      json_.object();
      write_identity(agent);
      json_.field("source", source->source)
          .field("sessionName", session_name(agents_[agent], source->source))
          .field("cpuSeconds", seconds(source->usage))
          .field("measuredMs", milliseconds(source->measured))
          .end();
    }
    json_.end().field("sourcesLeftOut", std::uint64_t{rows.size() - shown});
  }

  void write_events() {
    struct Row {
      std::size_t agent;
      const RateLimitEvent* event;
    };
    std::vector<Row> rows;
    for (const auto& agent : context_.agents) {
      for (const auto& event : agent.events) {
        if (told(agent.agent)) {
          rows.push_back({agent.agent, &event});
        }
      }
    }
    const auto before = [](const Row& left, const Row& right) {
      return std::tie(right.event->ts, left.agent, right.event->id) <
             std::tie(left.event->ts, right.agent, left.event->id);
    };
    const std::size_t shown = std::min(rows.size(), kMostContextEvents);
    std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end(), before);
    json_.key("otherEvents").array();
    for (const auto& [agent, event] : std::span(rows).first(shown)) {
      json_.object();
      write_identity(agent);
      write_event_fields(json_, *event);
      json_.field("sameAccount", same_account(*event, context_.event)).end();
    }
    json_.end().field("otherEventsLeftOut", std::uint64_t{rows.size() - shown});
  }

  /// Whose accounts are the same is said of others, so it is the operator's to know.
  void write_accounts() {
    json_.key("sharedAccounts");
    if (reader_ != ContextReader::operators) {
      json_.null();
      return;
    }
    json_.array();
    for (const auto& account : shared_accounts(context_, whose_)) {
      json_.object().field("accountKey", account.key).key("agents").array();
      for (const auto agent : account.agents) {
        json_.object();
        write_identity(agent);
        json_.end();
      }
      json_.end().end();
    }
    json_.end();
  }

  void write_unread() {
    json_.key("notRead").array();
    for (const auto& agent : context_.agents) {
      if (told(agent.agent) && !agent.unread.empty()) {
        json_.object();
        write_identity(agent.agent);
        json_.field("reason", agent.unread).end();
      }
    }
    json_.end();
  }

  const RateLimitContext& context_;
  std::span<const Agent> agents_;
  std::size_t whose_;
  ContextReader reader_;
  JsonWriter json_;
};

}  // namespace

std::string context_json(const RateLimitContext& context, std::span<const Agent> agents, std::size_t whose,
                         ContextReader reader) {
  return Writer(context, agents, whose, reader).take();
}

}  // namespace fleetledger
