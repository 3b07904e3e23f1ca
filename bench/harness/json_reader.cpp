#include "bench/harness/json_reader.h"

namespace fleetledger::bench {

const Json* find_in(const Json& object, const char* name) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(name);
  return found == object.MemberEnd() ? nullptr : &found->value;
}

const Json& member_of(const Json& object, const char* name) {
  static const Json kNone;
  const Json* found = find_in(object, name);
  return found == nullptr ? kNone : *found;
}

double number_in(const Json& object, const char* name) {
  const Json& found = member_of(object, name);
  return found.IsNumber() ? found.GetDouble() : 0;
}

std::string text_in(const Json& object, const char* name) {
  const Json& found = member_of(object, name);
  return found.IsString() ? found.GetString() : "";
}

Json::ConstArray list_in(const Json& object, const char* name) {
  static const Json kEmpty(rapidjson::kArrayType);
  const Json& found = member_of(object, name);
  return found.IsArray() ? found.GetArray() : kEmpty.GetArray();
}

rapidjson::Document parsed(const std::string& text) {
  rapidjson::Document document;
  document.Parse(text.data(), text.size());
  if (document.HasParseError()) document.SetNull();
  return document;
}

}  // namespace fleetledger::bench
