#include "tests/e2e/json.h"

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <stdexcept>

namespace fleetledger::e2e {
namespace {

std::string string_of(const rapidjson::Value& value) { return {value.GetString(), value.GetStringLength()}; }

Json tree(const rapidjson::Value& value) {
  Json json;
  if (value.IsBool()) {
    json.kind = Json::Kind::boolean;
    json.flag = value.GetBool();
  } else if (value.IsNumber()) {
    json.kind = Json::Kind::number;
    json.number = value.GetDouble();
  } else if (value.IsString()) {
    json.kind = Json::Kind::text;
    json.text = string_of(value);
  } else if (value.IsArray()) {
    json.kind = Json::Kind::array;
    for (const auto& item : value.GetArray()) {
      json.items.push_back(tree(item));
    }
  } else if (value.IsObject()) {
    json.kind = Json::Kind::object;
    for (const auto& member : value.GetObject()) {
      json.members.emplace_back(string_of(member.name), tree(member.value));
    }
  }
  return json;
}

}  // namespace

const Json& Json::operator[](const std::string& name) const& {
  for (const auto& [key, value] : members) {
    if (key == name) {
      return value;
    }
  }
  throw std::out_of_range("no member " + name);
}

std::vector<std::string> Json::keys() const {
  std::vector<std::string> names;
  for (const auto& [key, value] : members) {
    names.push_back(key);
  }
  return names;
}

const Json& Json::with(const std::string& name, const std::string& value) const& {
  for (const auto& item : items) {
    if (item[name].text == value) {
      return item;
    }
  }
  throw std::out_of_range("no item whose " + name + " is " + value);
}

Json parse_json(const std::string& text) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseFullPrecisionFlag | rapidjson::kParseValidateEncodingFlag>(text.data(), text.size());
  if (document.HasParseError()) {
    throw std::invalid_argument("no JSON: " + text);
  }
  return tree(document);
}

std::string json_text(const std::string& text) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
  return buffer.GetString();
}

}  // namespace fleetledger::e2e
