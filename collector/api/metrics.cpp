#include "collector/api/metrics.h"

#include <algorithm>
#include <initializer_list>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <span>
#include <sstream>
#include <string_view>
#include <vector>

#include "collector/api/answers.h"
#include "collector/api/handlers.h"
#include "collector/api/json_writer.h"

namespace fleetledger {
namespace {

using prometheus::ClientMetric;
using Type = prometheus::MetricType;

/// The series of one metric, as they are being made.
class Series {
 public:
  Series(Type type, const std::vector<std::string_view>& labels) : type_(type), labels_(labels) {}

  /// One series: the values of the labels in their order, ours or made by `label_text`.
  void add(std::initializer_list<std::string_view> values, double value) {
    auto& metric = labelled(values);
    (type_ == Type::Counter ? metric.counter.value : metric.gauge.value) = value;
  }
  void add(std::initializer_list<std::string_view> values, std::uint64_t value) {
    add(values, static_cast<double>(value));
  }
  void add(std::initializer_list<std::string_view> values, Usage usage) { add(values, usage.seconds()); }
  void add(std::initializer_list<std::string_view> values, Bytes bytes) {
    add(values, static_cast<double>(bytes.value));
  }
  void add(std::initializer_list<std::string_view> values, WallTime time) {
    add(values, std::chrono::duration<double>(time.time_since_epoch()).count());
  }

  void add(const DurationHistogram& durations) {
    auto& histogram = labelled({}).histogram;
    const auto seconds = [](DurationHistogram::Duration duration) {
      return std::chrono::duration<double>(duration).count();
    };
    for (std::size_t range = 0; range < durations.bounds().size(); ++range) {
      histogram.sample_count += durations.counts()[range];
      histogram.bucket.push_back({histogram.sample_count, seconds(durations.bounds()[range])});
    }
    histogram.sample_count += durations.counts().back();
    histogram.sample_sum = seconds(durations.sum());
  }

  [[nodiscard]] std::vector<ClientMetric> take() { return std::move(metrics_); }

 private:
  ClientMetric& labelled(std::initializer_list<std::string_view> values) {
    auto& metric = metrics_.emplace_back();
    auto value = values.begin();
    for (const auto label : labels_) {
      metric.label.push_back({std::string(label), std::string(*value++)});
    }
    return metric;
  }

  Type type_;
  const std::vector<std::string_view>& labels_;
  std::vector<ClientMetric> metrics_;
};

/// Foreign text as the value of a label: valid UTF-8 without control characters, of which NUL would end the page for
/// its reader. The format's own characters are escaped by the library.
std::string label_text(std::string_view foreign) {
  auto text = valid_utf8(foreign);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
  return text;
}

constexpr std::array<AgentState, 8> kStates{AgentState::sampling,    AgentState::idle,     AgentState::off,
                                            AgentState::disabled,    AgentState::yielding, AgentState::unreadable,
                                            AgentState::unavailable, AgentState::gone};

void for_each_role(const MetricsView& view,
                   void (*visit)(Series&, std::initializer_list<std::string_view>, const RoleTotals&), Series& out) {
  for (const auto& agent : view.agents) {
    for (std::size_t role = 0; agent.roles && role < kRoles; ++role) {
      visit(out, {agent.counted.identity.id, to_string(static_cast<Role>(role))}, (*agent.roles)[role]);
    }
  }
}

/// One metric: what it is, and its series.
struct Metric {
  std::string_view name;
  Type type;
  std::vector<std::string_view> labels;
  std::string_view help;
  void (*fill)(const MetricsView& view, Series& out);
};

/// A new metric is a row here; the README's table follows from it.
std::vector<Metric> make_table() {
  using View = const MetricsView&;
  using Out = Series&;
  return {
      {"fleetledger_agent_cpu_seconds_total",
       Type::Counter,
       {"agent", "role"},
       "CPU time of an agent's processes, by what they belong to: its server, its sessions, or nothing any more "
       "(orphans). The roles add up to the agent.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           for (std::size_t role = 0; agent.shows_cpu && role < kRoles; ++role) {
             out.add({agent.counted.identity.id, to_string(static_cast<Role>(role))}, agent.counted.cpu[role]);
           }
         }
       }},
      {"fleetledger_agent_resident_memory_bytes",
       Type::Gauge,
       {"agent", "role"},
       "Resident memory at the last look, summed over processes: shared pages count several times.",
       [](View view, Out out) {
         for_each_role(
             view, [](Out to, auto labels, const RoleTotals& role) { to.add(labels, role.resident); }, out);
       }},
      {"fleetledger_agent_processes",
       Type::Gauge,
       {"agent", "role"},
       "Processes at the last look.",
       [](View view, Out out) {
         for_each_role(
             view, [](Out to, auto labels, const RoleTotals& role) { to.add(labels, std::uint64_t{role.processes}); },
             out);
       }},
      {"fleetledger_agent_live_sessions",
       Type::Gauge,
       {"agent"},
       "Sessions that the agent's files call live.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           if (agent.live_sessions) {
             out.add({agent.counted.identity.id}, std::uint64_t{*agent.live_sessions});
           }
         }
       }},
      {"fleetledger_agent_rate_limit_events_total",
       Type::Counter,
       {"agent", "kind"},
       "Rate-limit events that the collector recorded; not those that the agent's own server writes into its ledger.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           for (std::size_t kind = 0; kind < kEventKinds.size(); ++kind) {
             if (kind < kSentinelKinds || agent.counted.events[kind] > 0) {
               out.add({agent.counted.identity.id, kEventKinds[kind]}, agent.counted.events[kind]);
             }
           }
         }
       }},
      {"fleetledger_agent_event_lines_skipped_total",
       Type::Counter,
       {"agent", "reason"},
       "Lines of the agent's sentinel log that could not be understood: unknown_kind (of a rate limit, but nothing "
       "that "
       "is known), not_json, wrong_type, bad_time, future, too_long.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           for (auto why = static_cast<std::size_t>(SkippedLine::unknown_kind); why < kSkippedLines.size(); ++why) {
             out.add({agent.counted.identity.id, kSkippedLines[why]}, agent.counted.skipped[why]);
           }
         }
       }},
      {"fleetledger_agent_state",
       Type::Gauge,
       {"agent", "state"},
       "1 for the state that the agent is in; its other states have no series.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           out.add({agent.counted.identity.id, to_string(agent.state)}, 1.0);
         }
       }},
      {"fleetledger_agent_info",
       Type::Gauge,
       {"agent", "name"},
       "1; the name that belongs to an agent's id.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           out.add({agent.counted.identity.id, label_text(agent.counted.identity.name)}, 1.0);
         }
       }},
      {"fleetledger_agents",
       Type::Gauge,
       {"state"},
       "Agents in each state.",
       [](View view, Out out) {
         for (const auto state : kStates) {
           const auto in_state = [state](const AgentMetrics& agent) { return agent.state == state; };
           out.add({to_string(state)},
                   static_cast<double>(std::count_if(view.agents.begin(), view.agents.end(), in_state)));
         }
       }},
      {"fleetledger_ledger_rows_total",
       Type::Counter,
       {"agent"},
       "Samples written to the agent's ledger.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           out.add({agent.counted.identity.id}, agent.ledger.rows);
         }
       }},
      {"fleetledger_ledger_errors_total",
       Type::Counter,
       {"agent"},
       "Attempts to write to the agent's ledger that failed; most are tried again.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           out.add({agent.counted.identity.id}, agent.ledger.errors);
         }
       }},
      {"fleetledger_ledger_dropped_ticks_total",
       Type::Counter,
       {"agent"},
       "Ticks that were never written to the agent's ledger.",
       [](View view, Out out) {
         for (const auto& agent : view.agents) {
           out.add({agent.counted.identity.id}, agent.ledger.dropped);
         }
       }},
      {"fleetledger_session_cpu_seconds_total",
       Type::Counter,
       {"agent", "session"},
       "CPU time of a session's processes; part of the role sessions. Only with http.metrics_sessions.",
       [](View view, Out out) {
         for (const auto& [key, session] : view.sessions) {
           out.add({key.first, label_text(key.second)}, session.cpu);
         }
       }},
      {"fleetledger_session_resident_memory_bytes",
       Type::Gauge,
       {"agent", "session"},
       "Resident memory of a session's processes at the last look. Only with http.metrics_sessions.",
       [](View view, Out out) {
         for (const auto& [key, session] : view.sessions) {
           if (!session.ended) {
             out.add({key.first, label_text(key.second)}, session.resident);
           }
         }
       }},
      {"fleetledger_session_info",
       Type::Gauge,
       {"agent", "session", "name"},
       "1; the name that belongs to a session's id. Only with http.metrics_sessions.",
       [](View view, Out out) {
         for (const auto& [key, session] : view.sessions) {
           out.add({key.first, label_text(key.second), label_text(session.name)}, 1.0);
         }
       }},
      {"fleetledger_sessions_left_out",
       Type::Gauge,
       {},
       "Sessions at the last look that have no series because http.metrics_sessions is reached. Only with that.",
       [](View view, Out out) {
         if (view.most_sessions > 0) {
           out.add({}, std::uint64_t{view.sessions_left_out});
         }
       }},
      {"fleetledger_host_cpu_seconds_total",
       Type::Counter,
       {"part"},
       "Where the host's CPU time went: agents, collector (ps and tmux included), unattributed (whose is unknown), "
       "other "
       "(the rest of what the kernel counted). The parts add up to the host; where rounding makes the first three "
       "more, other stands still until that is made up.",
       [](View view, Out out) {
         if (view.host.cpus > 0) {
           out.add({"agents"}, view.host_cpu.agents);
           out.add({"collector"}, view.host_cpu.collector);
           out.add({"unattributed"}, view.host_cpu.unattributed);
           out.add({"other"}, view.host_cpu.other);
         }
       }},
      {"fleetledger_host_cpus",
       Type::Gauge,
       {},
       "CPUs of the host.",
       [](View view, Out out) {
         if (view.host.cpus > 0) {
           out.add({}, std::uint64_t{view.host.cpus});
         }
       }},
      {"fleetledger_host_memory_bytes",
       Type::Gauge,
       {},
       "Memory of the host.",
       [](View view, Out out) {
         if (view.host.memory_total > Bytes{}) {
           out.add({}, view.host.memory_total);
         }
       }},
      {"fleetledger_host_memory_available_bytes",
       Type::Gauge,
       {},
       "Memory that programs can still get, at the last look.",
       [](View view, Out out) {
         if (view.host.memory_total > Bytes{}) {
           out.add({}, view.host.memory_available);
         }
       }},
      {"fleetledger_last_look_timestamp_seconds",
       Type::Gauge,
       {},
       "When the host was last looked at with success; all that is said of it is of then.",
       [](View view, Out out) {
         if (view.last_look) {
           out.add({}, *view.last_look);
         }
       }},
      {"fleetledger_looks_total",
       Type::Counter,
       {"of"},
       "Times that ps or /proc (processes) or tmux (panes) was asked.",
       [](View view, Out out) {
         out.add({"processes"}, view.collector.looks);
         out.add({"panes"}, view.collector.pane_lists);
       }},
      {"fleetledger_looks_failed_total",
       Type::Counter,
       {"of"},
       "How many of those failed.",
       [](View view, Out out) {
         out.add({"processes"}, view.collector.failed_looks);
         out.add({"panes"}, view.collector.failed_pane_lists);
       }},
      {"fleetledger_tick_duration_seconds",
       Type::Histogram,
       {},
       "Wall time of a tick from its beginning until it is published; most of it is waiting for ps.",
       [](View view, Out out) { out.add(view.collector.tick_durations); }},
      {"fleetledger_ticks_skipped_total",
       Type::Counter,
       {"reason"},
       "Ticks left out, over all agents: late (none could begin in time), running (the one before still looked).",
       [](View view, Out out) {
         out.add({"late"}, view.collector.skipped_late);
         out.add({"running"}, view.collector.skipped_running);
       }},
      {"fleetledger_loop_lag_seconds",
       Type::Histogram,
       {},
       "How long the event loop was busy between two waits for events: what an event had to wait at most.",
       [](View view, Out out) { out.add(view.loop_lag); }},
      {"fleetledger_loop_work_seconds",
       Type::Histogram,
       {},
       "CPU time of the event loop in each stretch of fleetledger_loop_lag_seconds; what that is longer, it waited: "
       "for a core, a lock or the disk.",
       [](View view, Out out) { out.add(view.loop_work); }},
      {"fleetledger_collector_cpu_seconds_total",
       Type::Counter,
       {"part"},
       "CPU time of the collector, at its last tick: self, and children (its ps and tmux).",
       [](View view, Out out) {
         out.add({"self"}, Usage{view.self.own.since_start()});
         out.add({"children"}, Usage{view.self.children.since_start()});
       }},
      {"fleetledger_collector_resident_memory_bytes",
       Type::Gauge,
       {"part"},
       "Resident memory of the collector, at its last tick; of its children while they looked.",
       [](View view, Out out) {
         out.add({"self"}, view.self.resident);
         if (view.last_look) {
           out.add({"children"}, view.host.collector_children);
         }
       }},
      {"process_start_time_seconds",
       Type::Gauge,
       {},
       "When the collector began; all counters began then.",
       [](View view, Out out) { out.add({}, view.started); }},
      {"fleetledger_build_info",
       Type::Gauge,
       {"version"},
       "1; the version of the collector.",
       [](View view, Out out) { out.add({view.version}, 1.0); }},
  };
}

const std::vector<Metric>& table() {
  static const std::vector<Metric> kTable = make_table();
  return kTable;
}

std::string_view type_text(Type type) {
  switch (type) {
    case Type::Counter:
      return "counter";
    case Type::Histogram:
      return "histogram";
    default:
      return "gauge";
  }
}

}  // namespace

std::string metrics_text(const MetricsView& view) {
  std::ostringstream text;
  const prometheus::TextSerializer serializer;
  for (const auto& metric : table()) {
    Series series(metric.type, metric.labels);
    metric.fill(view, series);
    // One metric at a time, so that the series of a large fleet are not all in memory at once.
    if (auto made = series.take(); !made.empty()) {
      serializer.Serialize(text, {{std::string(metric.name), std::string(metric.help), metric.type, std::move(made)}});
    }
  }
  return text.str();
}

std::string metrics_markdown() {
  std::string markdown = "| metric | type | labels | what it says |\n|---|---|---|---|\n";
  for (const auto& metric : table()) {
    std::string labels;
    for (const auto label : metric.labels) {
      labels.append(labels.empty() ? "`" : ", `").append(label).append("`");
    }
    markdown.append("| `").append(metric.name).append("` | ").append(type_text(metric.type)).append(" | ");
    markdown.append(labels).append(" | ").append(metric.help).append(" |\n");
  }
  return markdown;
}

Answer answer_metrics(const Call& call) {
  const auto view = std::make_shared<const MetricsView>(call.state.metrics());
  return StoreRead([view](LedgerStore&) {
    return Response{200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}}, metrics_text(*view)};
  });
}

}  // namespace fleetledger
