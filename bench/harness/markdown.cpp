#include "bench/harness/markdown.h"

#include <fmt/format.h>
#include <map>
#include <rapidjson/document.h>

namespace fleetledger::bench {
namespace {

using Json = rapidjson::Value;

const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  if (!object.IsObject()) return kNone;
  const auto found = object.FindMember(name);
  return found == object.MemberEnd() ? kNone : found->value;
}

double number(const Json& object, const char* name) {
  const Json& found = member(object, name);
  return found.IsNumber() ? found.GetDouble() : 0;
}

std::string text(const Json& object, const char* name) {
  const Json& found = member(object, name);
  return found.IsString() ? found.GetString() : "";
}

Json::ConstArray list(const Json& object, const char* name) {
  static const Json kEmpty(rapidjson::kArrayType);
  const Json& found = member(object, name);
  return found.IsArray() ? found.GetArray() : kEmpty.GetArray();
}

rapidjson::Document parsed(const std::string& json) {
  rapidjson::Document document;
  document.Parse(json.data(), json.size());
  if (document.HasParseError()) document.SetNull();
  return document;
}

}  // namespace

std::string performance_markdown(const PartTexts& parts) {
  const auto machine = parsed(parts.machine);
  const auto peers = parsed(parts.peers);
  const auto sight = parsed(parts.sight);
  const auto growth = parsed(parts.growth);
  std::string out;
  if (machine.IsObject()) {
    out += fmt::format("{}: {}, {:.0f} cores, {}, load average {:.1f} at the start.\n\n", text(machine, "time"),
                       text(machine, "cpu"), number(machine, "cores"), text(machine, "kernel"),
                       number(machine, "loadAverage"));
  }
  std::map<std::string, std::string> seen;
  for (const auto& seer : list(sight, "seers")) {
    const auto truth = number(seer, "truthSeconds");
    seen[text(seer, "name")] = truth > 0 ? fmt::format("{:.1f} %", 100 * number(seer, "seenSeconds") / truth) : "";
  }
  seen["a sampler in each agent"] = seen["panes' pids alone"];
  if (list(peers, "costs").Size() > 0) {
    out += fmt::format(
        "One view of a host with {:.0f} processes, {:.0f} agents and {:.0f} sessions:\n\n"
        "| who | CPU ms, median | least | greatest | MiB | of short-lived tools it sees |\n|---|---|---|---|---|---|\n",
        number(peers, "processes"), number(peers, "agents"), number(peers, "sessions"));
  }
  for (const auto& cost : list(peers, "costs")) {
    const Json& cpu = member(cost, "cpuMs");
    const auto resident = number(cost, "residentMiB");
    out += fmt::format("| {} | {:.1f} | {:.1f} | {:.1f} | {} | {} |\n", text(cost, "name"), number(cpu, "median"),
                       number(cpu, "least"), number(cpu, "greatest"),
                       resident > 0 ? fmt::format("{:.0f}", resident) : "", seen[text(cost, "name")]);
  }
  if (list(growth, "points").Size() > 0) {
    out +=
        "\n| agents with ten sessions | procfs, CPU ms a tick | ps, with its ps | bare ps | bare SQLite | MiB | start, "
        "ms "
        "|\n|---|---|---|---|---|---|---|\n";
  }
  for (const auto& point : list(growth, "points")) {
    const auto median = [](const Json& object, const char* name) { return number(member(object, name), "median"); };
    const Json& procfs = member(point, "procfs");
    out +=
        fmt::format("| {:.0f} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {:.0f} | {:.0f} |\n", number(point, "agents"),
                    median(procfs, "togetherMs"), median(member(point, "ps"), "togetherMs"), median(point, "barePsMs"),
                    median(point, "bareLedgersMs"), number(procfs, "residentMiB"), number(procfs, "startUpMs"));
  }
  return out;
}

}  // namespace fleetledger::bench
