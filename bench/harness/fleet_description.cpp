#include "bench/harness/fleet_description.h"

#include <fstream>
#include <iterator>
#include <rapidjson/document.h>

namespace fleetledger::bench {
namespace {

using Json = rapidjson::Value;

const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  const auto found = object.IsObject() ? object.FindMember(name) : Json::ConstMemberIterator();
  return object.IsObject() && found != object.MemberEnd() ? found->value : kNone;
}

std::string text_of(const Json& object, const char* name) {
  const Json& found = member(object, name);
  return found.IsString() ? found.GetString() : "";
}

int number_of(const Json& object, const char* name) {
  const Json& found = member(object, name);
  return found.IsInt() ? found.GetInt() : 0;
}

Json::ConstArray list(const Json& object, const char* name) {
  static const Json kEmpty(rapidjson::kArrayType);
  const Json& found = member(object, name);
  return found.IsArray() ? found.GetArray() : kEmpty.GetArray();
}

}  // namespace

Result<std::vector<DescribedAgent>> read_fleet(const std::string& root) {
  const std::string path = root + "/fleet.json";
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  rapidjson::Document json;
  json.Parse(text.data(), text.size());
  if (json.HasParseError()) return fail("read " + path + ": no fleet is described there");
  std::vector<DescribedAgent> agents;
  for (const auto& agent : list(json, "agents")) {
    DescribedAgent described{text_of(agent, "name"), number_of(agent, "serverPid"), text_of(agent, "serverTruth"), {}};
    for (const auto& session : list(agent, "sessions")) {
      described.sessions.push_back({text_of(session, "id"), text_of(session, "tmuxSession"), text_of(session, "load"),
                                    text_of(session, "truth"), number_of(session, "panePid")});
    }
    agents.push_back(std::move(described));
  }
  return agents;
}

}  // namespace fleetledger::bench
