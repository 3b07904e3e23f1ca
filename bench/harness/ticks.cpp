#include "bench/harness/ticks.h"

#include <cmath>
#include <fstream>
#include <rapidjson/document.h>

namespace fleetledger::bench {
namespace {

using Json = rapidjson::Value;

/// Takes members out of JSON and remembers if one was not there or not of its kind.
class Reader {
 public:
  double number(const Json& object, const char* name) {
    const Json* member = find(object, name);
    return good(member != nullptr && member->IsNumber()) ? member->GetDouble() : 0;
  }
  std::string text(const Json& object, const char* name) {
    const Json* member = find(object, name);
    return good(member != nullptr && member->IsString()) ? member->GetString() : "";
  }
  Micros seconds(const Json& object, const char* name) { return Micros{std::llround(number(object, name) * 1e6)}; }
  std::int64_t whole(const Json& object, const char* name) { return std::llround(number(object, name)); }
  template <typename Each>
  void each(const Json& object, const char* name, Each&& each) {
    const Json* member = find(object, name);
    if (!good(member != nullptr && member->IsArray())) return;
    for (const Json& item : member->GetArray()) each(item);
  }
  const Json& object(const Json& object, const char* name) {
    static const Json kEmpty(rapidjson::kObjectType);
    const Json* member = find(object, name);
    return good(member != nullptr && member->IsObject()) ? *member : kEmpty;
  }
  [[nodiscard]] bool all_good() const { return good_; }

 private:
  static const Json* find(const Json& object, const char* name) {
    if (!object.IsObject()) return nullptr;
    const auto member = object.FindMember(name);
    return member == object.MemberEnd() ? nullptr : &member->value;
  }
  bool good(bool condition) {
    good_ = good_ && condition;
    return condition;
  }
  bool good_ = true;
};

}  // namespace

Micros TickRow::interval() const {
  return percent > 0 ? Micros{std::llround(static_cast<double>(cpu.count()) * 100 / percent)} : Micros{};
}

Result<Tick> parse_tick(std::string_view line) {
  rapidjson::Document json;
  json.Parse(line.data(), line.size());
  if (json.HasParseError()) return fail("read a tick: the line is no JSON");
  Reader reader;
  Tick tick;
  tick.ts = WallTime{std::chrono::milliseconds{reader.whole(json, "ts")}};
  reader.each(json, "agents", [&](const Json& agent) {
    reader.each(agent, "sources", [&](const Json& row) {
      tick.rows.push_back({reader.text(agent, "name"), reader.text(row, "source"), reader.seconds(row, "cpuSeconds"),
                           reader.number(row, "cpuPercent")});
    });
  });
  const Json& self = reader.object(json, "self");
  tick.own = reader.seconds(self, "cpuSeconds");
  tick.children = reader.seconds(self, "childCpuSeconds");
  if (!reader.all_good()) return fail("read a tick: the line lacks what a tick has");
  return tick;
}

Result<std::vector<Tick>> read_ticks(const std::string& path) {
  std::ifstream in(path);
  std::vector<Tick> ticks;
  for (std::string line; std::getline(in, line);) {
    auto tick = parse_tick(line);
    if (!tick) return fail(path + ": " + tick.error().text);
    ticks.push_back(std::move(*tick));
  }
  if (ticks.empty()) return fail("read " + path + ": no tick is there");
  return ticks;
}

}  // namespace fleetledger::bench
