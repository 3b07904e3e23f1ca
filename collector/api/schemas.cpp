#include "collector/api/schemas.h"

#include <string>
#include <vector>

#include "collector/api/json_writer.h"

namespace fleetledger::schemas {
namespace {

using Schema = std::string;

const Schema kInteger = R"({"type":"integer"})";
const Schema kNumber = R"({"type":"number"})";
const Schema kText = R"({"type":"string"})";
const Schema kTruth = R"({"type":"boolean"})";
const Schema kTruthOrNull = R"({"type":["boolean","null"],"description":"null: not known"})";
const Schema kKnownSecondsOrNull =
    R"({"type":["number","null"],"description":"CPU time in the stretch; null: it ran, and no row says how much"})";
const Schema kIntegerOrNull = R"({"type":["integer","null"]})";
const Schema kNumberOrNull = R"({"type":["number","null"]})";
const Schema kTextOrNull = R"({"type":["string","null"]})";
const Schema kTime = R"({"type":"integer","description":"milliseconds since 1970 UTC"})";
const Schema kTimeOrNull = R"({"type":["integer","null"],"description":"milliseconds since 1970 UTC"})";
const Schema kPercent = R"({"type":"number","description":"one busy core is 100"})";
const Schema kTimeWeighted =
    R"({"type":["number","null"],"description":"the mean over the time that the rows stand for, of one core; null: they stand for none"})";
const Schema kEstimate =
    R"({"type":"number","description":"of rows that do not say it (other samplers'): their percentage for the time since the row before; not part of cpuSeconds"})";
const Schema kPercentOrNull =
    R"({"type":["number","null"],"description":"one busy core is 100; null before there were two looks"})";
const Schema kSecondsOrNull =
    R"({"type":["number","null"],"description":"CPU time in the interval of the last look; null before there were two"})";

using Fields = std::vector<std::pair<std::string_view, Schema>>;

Schema object(const Fields& fields, bool or_null = false, std::string_view description = {}) {
  JsonWriter json;
  json.object().key("type");
  if (or_null) {
    json.array().value("object").value("null").end();
  } else {
    json.value("object");
  }
  if (!description.empty()) {
    json.field("description", description);
  }
  json.key("required").array();
  for (const auto& [name, schema] : fields) {
    json.value(name);
  }
  json.end().key("properties").object();
  for (const auto& [name, schema] : fields) {
    json.key(name).raw(schema);
  }
  json.end().end();
  return json.take();
}

Schema list_of(const Schema& items) { return R"({"type":"array","items":)" + items + "}"; }

Fields operator+(Fields left, const Fields& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

const Fields& window() {
  static const Fields kFields{{"windowHours", kNumber}, {"sinceMs", kTime}};
  return kFields;
}

const Fields& cpu() {
  static const Fields kFields{{"cpuSeconds", kSecondsOrNull}, {"cpuPercent", kPercentOrNull}};
  return kFields;
}

const Fields& amount() {
  static const Fields kFields = cpu() + Fields{{"rssBytes", kInteger}, {"processes", kInteger}};
  return kFields;
}

Schema now() { return object(amount(), true, "what the last look says, orphans included; null if it is not metered"); }
Schema orphans_of_agent() { return object(amount(), true, "the part of it that outlived its session or server"); }

Fields identity() { return {{"id", kText}, {"name", kText}, {"state", kText}, {"reason", kText}}; }

Fields agent_fields() {
  return identity() + Fields{{"path", kText},
                             {"metered", kTruth},
                             {"liveSessions", kInteger},
                             {"sampleIntervalMs", kInteger},
                             {"idleSampleIntervalMs", kInteger},
                             {"retentionDays", kNumber},
                             {"location", kText},
                             {"newestTs", kTimeOrNull},
                             {"token", object({{"usable", kTruth}, {"reason", kText}}, false,
                                              "whether the agent's own token reads it, and why not")},
                             {"samplesAt", object({{"place", kText},
                                                   {"centralSince", kTimeOrNull},
                                                   {"otherSamplerTs", kTimeOrNull},
                                                   {"meteredTwice", kTruth}},
                                                  true,
                                                  "where its samples are, and the newest row of its own sampler if "
                                                  "that is on; null before the first writing")},
                             {"now", now()},
                             {"orphans", orphans_of_agent()}};
}

Fields source() { return Fields{{"source", kText}, {"sessionName", kTextOrNull}, {"pid", kInteger}} + amount(); }

Fields who() { return {{"agentId", kText}, {"agentName", kText}}; }

Fields event() {
  return {{"id", kText},
          {"ts", kTime},
          {"kind", kText},
          {"source", kText},
          {"accountKey", R"({"type":"string","description":"\"default\" means unknown"})"},
          {"sessionName", kTextOrNull},
          {"reason", kTextOrNull},
          {"detail", kTextOrNull},
          {"limit",
           R"({"type":"string","enum":["account","server","unknown"],"description":"account: its quota is used up; )"
           R"(server: it throttles; unknown: a breaker"})"}};
}

constexpr std::string_view kFleetMeaning =
    "host = the agents' now + everythingElse + unattributed + rounding + collector, in CPU time; the heaviest agent "
    "first";

/// The host and its agents at the last look; each agent with further fields.
Fields fleet_fields(const Fields& of_agent) {
  return {
      {"ts", kTime},
      {"intervalMs", kInteger},
      {"host", object(cpu() + Fields{{"cpus", kInteger},
                                     {"memoryTotalBytes", kInteger},
                                     {"memoryAvailableBytes", kInteger},
                                     {"processes", kInteger}})},
      {"orphans", object(amount(), false, "of all agents together; part of each agent's row")},
      {"everythingElse", object(cpu() + Fields{{"top", list_of(object(Fields{{"name", kText}} + amount()))}})},
      {"unattributed", object(cpu())},
      {"rounding", object(cpu())},
      {"collector", object(cpu() + Fields{{"rssBytes", kInteger}})},
      {"heaviestSessions", list_of(object(Fields{{"agentId", kText}, {"agentName", kText}} + source(), false,
                                          "at most ten, of all agents; part of their agents' rows"))},
      {"agents",
       list_of(object(identity() + Fields{{"liveSessions", kInteger}, {"now", now()}, {"orphans", orphans_of_agent()}} +
                      of_agent))},
      {"configuration", object({{"since", R"({"type":"integer","description":"when what is in force was read"})"},
                                {"refused", object({{"at", kTime}, {"reason", kText}}, true,
                                                   "the last one that was read, and why; null: it is in force")},
                                {"atNextStart", list_of(kText)}},
                               true, "of the collector; atNextStart: what differs in it and takes effect only then")}};
}

}  // namespace

std::string_view summary() {
  static const Schema kSchema =
      object(window() + Fields{{"sampleCount", kInteger},
                               {"sources", list_of(object({{"source", kText},
                                                           {"currentCpuPercent", kPercent},
                                                           {"currentRssBytes", kInteger},
                                                           {"currentHeapUsedBytes", kIntegerOrNull},
                                                           {"avgCpuPercent", kPercent},
                                                           {"peakCpuPercent", kPercent},
                                                           {"avgRssBytes", kInteger},
                                                           {"peakRssBytes", kInteger},
                                                           {"sampleCount", kInteger},
                                                           {"newestTs", kTime},
                                                           {"cpuSeconds", kNumber},
                                                           {"currentProcesses", kIntegerOrNull},
                                                           {"estimatedCpuSeconds", kEstimate},
                                                           {"timeWeightedCpuPercent", kTimeWeighted}}))}});
  return kSchema;
}

std::string_view samples() {
  static const Schema kSchema = object(window() + Fields{{"limit", kInteger},
                                                         {"samples", list_of(object({{"ts", kTime},
                                                                                     {"source", kText},
                                                                                     {"pid", kInteger},
                                                                                     {"cpuPercent", kPercent},
                                                                                     {"rssBytes", kInteger},
                                                                                     {"heapUsedBytes", kIntegerOrNull},
                                                                                     {"cpuSeconds", kNumberOrNull},
                                                                                     {"intervalMs", kIntegerOrNull},
                                                                                     {"processes", kIntegerOrNull}}))},
                                                         {"nextCursor", kTextOrNull}});
  return kSchema;
}

std::string_view rate_limits() {
  static const Schema kSchema = object(
      {{"windowHours", kNumber},
       {"summary", object({{"circuitOpenCount", kInteger},
                           {"circuitRecoverCount", kInteger},
                           {"sentinelCount", kInteger},
                           {"totalEvents", kInteger},
                           {"tripsPerHour", kNumberOrNull},
                           {"oldestEventTs", kTimeOrNull},
                           {"newestEventTs", kTimeOrNull},
                           {"windowMs", kNumberOrNull}})},
       {"byKind",
        list_of(
            object({{"kind", kText}, {"source", kText}, {"count", kInteger}, {"firstTs", kTime}, {"lastTs", kTime}}))},
       {"events", list_of(object(event()))},
       {"recoveries", list_of(object(event(), false, "how sessions came out of a throttling; counted nowhere"))}});
  return kSchema;
}

std::string_view rate_limit_context() {
  static const Schema kSchema = object(
      who() +
          Fields{{"scope",
                  R"({"type":"string","enum":["host","agent"],"description":"host: every agent by name; agent: this )"
                  R"(agent's own, and of the others the sums in allAgents alone"})"},
                 {"event", object(event())},
                 {"sinceMs", kTime},
                 {"untilMs", kTime},
                 {"windowMs", kInteger},
                 {"allAgents", object({{"cpuSeconds", kKnownSecondsOrNull},
                                       {"agents", kInteger},
                                       {"liveSessions", kInteger},
                                       {"otherEvents", kInteger},
                                       {"notRead", kInteger}},
                                      false, "of all agents of the host together, whoever asks")},
                 {"agents", list_of(object(who() + Fields{{"cpuSeconds", kKnownSecondsOrNull},
                                                          {"measuredMs", kInteger},
                                                          {"liveSessions", kInteger}},
                                           false, "those that ran, who used most first"))},
                 {"sources", list_of(object(who() + Fields{{"source", kText},
                                                           {"sessionName", kTextOrNull},
                                                           {"cpuSeconds", kKnownSecondsOrNull},
                                                           {"measuredMs", kInteger}},
                                            false, "what ran, what used most first; sessionName of those that live"))},
                 {"sourcesLeftOut", kInteger},
                 {"otherEvents",
                  list_of(object(who() + event() + Fields{{"sameAccount", kTruthOrNull}}, false,
                                 "of the same stretch, newest first; sameAccount: as the event that was asked about"))},
                 {"otherEventsLeftOut", kInteger},
                 {"sharedAccounts",
                  R"({"type":["array","null"],"description":"accounts that events of several agents name; null: the )"
                  R"(operator alone is told","items":)" +
                      object({{"accountKey", kText}, {"agents", list_of(object(who()))}}) + "}"},
                 {"notRead",
                  list_of(object(who() + Fields{{"reason", kText}}, false, "agents whose ledgers could not be read"))}},
      false,
      "what ran in the five minutes before the event; a row counts by the share of it that lies in them, measuredMs is "
      "how much of them the rows are about");
  return kSchema;
}

std::string_view trend() {
  static const Schema kSchema = object(
      window() +
      Fields{{"untilMs", kTime},
             {"buckets", kInteger},
             {"sources", list_of(object({{"source", kText},
                                         {"points", list_of(object({{"ts", kTime},
                                                                    {"rows", kInteger},
                                                                    {"minCpuPercent", kPercent},
                                                                    {"avgCpuPercent", kPercent},
                                                                    {"peakCpuPercent", kPercent},
                                                                    {"minRssBytes", kInteger},
                                                                    {"avgRssBytes", kInteger},
                                                                    {"peakRssBytes", kInteger},
                                                                    {"cpuSeconds", kNumberOrNull},
                                                                    {"intervalMs", kIntegerOrNull},
                                                                    {"estimatedCpuSeconds", kEstimate},
                                                                    {"estimatedIntervalMs", kInteger},
                                                                    {"timeWeightedCpuPercent", kTimeWeighted}}))}}))}});
  return kSchema;
}

std::string_view agent() {
  static const Schema kSchema =
      object(agent_fields() +
             Fields{{"ts", kTime},
                    {"sources", list_of(object(source()))},
                    {"sessions",
                     list_of(object({{"id", kText}, {"name", kText}, {"tmuxSession", kText}, {"startedAt", kTime}}))},
                    {"remarks", list_of(kText)},
                    {"ledger", object({{"written", kInteger},
                                       {"dropped", kInteger},
                                       {"errors", kInteger},
                                       {"error", kTextOrNull},
                                       {"failingSince", kTimeOrNull}},
                                      true, "ticks since the collector began; null if it has written none")}});
  return kSchema;
}

std::string_view agents() {
  static const Schema kSchema =
      object({{"ts", kTime},
              {"caller", R"({"type":"string","enum":["operator","agent"],"description":"whose token was sent"})"},
              {"agents", list_of(object(agent_fields()))}});
  return kSchema;
}

std::string_view fleet_summary() {
  static const Schema kSchema =
      object(window() + fleet_fields({{"window", object({{"avgCpuPercent", kPercent},
                                                         {"peakCpuPercent", kPercent},
                                                         {"avgRssBytes", kInteger},
                                                         {"peakRssBytes", kInteger},
                                                         {"cpuSeconds", kNumber},
                                                         {"sampleCount", kInteger},
                                                         {"newestTs", kTime},
                                                         {"estimatedCpuSeconds", kEstimate},
                                                         {"timeWeightedCpuPercent", kTimeWeighted}},
                                                        true, "null: no rows")},
                                      {"ledgerError", kTextOrNull}}),
             false, kFleetMeaning);
  return kSchema;
}

std::string_view fleet_now() {
  static const Schema kSchema = object(fleet_fields({}), false, kFleetMeaning);
  return kSchema;
}

std::string_view process() {
  static const Schema kSchema =
      object({{"ts", kTime},
              {"oneLook", kTruth},
              {"pid", kInteger},
              {"name", kText},
              {"uid", kInteger},
              {"why", kText},
              {"agentId", kTextOrNull},
              {"agentName", kTextOrNull},
              {"source", kTextOrNull},
              {"steps", list_of(object({{"pid", kInteger}, {"name", kText}, {"why", kText}, {"text", kText}}, false,
                                       "from the process up to what decides; the text follows \"PID (NAME) \""))}},
             false, "agentId, agentName and source are null for what is nobody's or the collector's");
  return kSchema;
}

std::string_view status() {
  static const Schema kSchema = object({{"status", kText}});
  return kSchema;
}

std::string_view openapi() { return R"({"type":"object"})"; }

std::string_view error() {
  static const Schema kSchema = object({{"error", kText}});
  return kSchema;
}

}  // namespace fleetledger::schemas
