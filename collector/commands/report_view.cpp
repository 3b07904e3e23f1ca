#include "collector/commands/report_view.h"

#include <fmt/format.h>

#include "collector/api/json_writer.h"
#include "collector/commands/table.h"
#include "config/values.h"

namespace fleetledger {
namespace {

constexpr std::size_t kNameWidth = 20;
constexpr std::size_t kSourceWidth = 22;

}  // namespace

std::string report_json(const TickReport& report) {
  JsonWriter json;
  json.object()
      .field("tick", report.number)
      .field("ts", report.ts)
      .field("processes", static_cast<std::uint64_t>(report.processes));
  if (report.failure) {
    json.field("failure", report.failure->text);
  }
  json.key("agents").array();
  for (const auto& agent : report.agents) {
    json.object()
        .field("id", agent.identity.id)
        .field("name", agent.identity.name)
        .field("state", to_string(agent.status.state))
        .key("sources")
        .array();
    for (const auto& sample : agent.samples) {
      json.object()
          .field("source", sample.source)
          .field("pid", sample.pid)
          .field("cpuPercent", sample.cpu_percent)
          .field("cpuSeconds", sample.usage.value_or(Usage{}).seconds())
          .field("rssBytes", sample.resident)
          .field("processes", sample.processes)
          .end();
    }
    json.end().end();
  }
  json.end().key("self").object();
  json.field("cpuSeconds", report.self.seconds())
      .field("childCpuSeconds", report.self_children.seconds())
      .field("rssBytes", report.self_resident)
      .end()
      .end();
  return json.take();
}

std::string report_table(const TickReport& report) {
  if (report.failure) {
    return fmt::format("tick {}: nothing is known: {}\n", report.number, printable(report.failure->text));
  }
  auto text =
      fmt::format("{}  tick {}  {} processes on this host\nfleetledger itself: {:.3f} CPU s, {} MiB\n\n",
                  utc_text(report.ts), report.number, report.processes, (report.self + report.self_children).seconds(),
                  mebibytes(static_cast<double>(report.self_resident.value)));
  using Align = Table::Align;
  Table table({{"AGENT", Align::left, kNameWidth},
               {"SOURCE", Align::left, kSourceWidth},
               {"CPU %", Align::right},
               {"CPU s", Align::right},
               {"RSS MiB", Align::right},
               {"PROCESSES", Align::right}});
  for (const auto& agent : report.agents) {
    if (agent.samples.empty()) {
      table.row({agent.identity.name, std::string(to_string(agent.status.state)), "", "", "", ""});
    }
    for (const auto& sample : agent.samples) {
      table.row({&sample == &agent.samples.front() ? agent.identity.name : "", sample.source,
                 fixed(sample.cpu_percent, 1), fixed(sample.usage.value_or(Usage{}).seconds(), 2),
                 mebibytes(static_cast<double>(sample.resident.value)), std::to_string(sample.processes.value_or(0))});
    }
  }
  text += table.text();
  for (const auto* group : {&report.agents, &report.others}) {
    for (const auto& agent : *group) {
      const bool normal = agent.status.state == AgentState::sampling || agent.status.state == AgentState::idle;
      if (!normal) {
        text += fmt::format("\n{}: {}: {}\n", printable(agent.identity.name), to_string(agent.status.state),
                            printable(agent.status.reason));
      }
    }
  }
  return text;
}

}  // namespace fleetledger
