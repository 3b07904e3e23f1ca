#include "tests/e2e/json.h"

#include <algorithm>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <stdexcept>
#include <utility>

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
      json.names.push_back(string_of(member.name));
      json.items.push_back(tree(member.value));
    }
  }
  return json;
}

}  // namespace

const Json& Json::operator[](const std::string& name) const& {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw std::out_of_range("no member " + name);
  }
  return items[static_cast<std::size_t>(found - names.begin())];
}

const Json& Json::operator[](std::size_t index) const& { return items.at(index); }

const Json& Json::with(const std::string& name, const std::string& value) const& {
  for (const auto& item : items) {
    if (item[name].text == value) {
      return item;
    }
  }
  throw std::out_of_range("no item whose " + name + " is " + value);
}

Json Json::operator[](const std::string& name) && { return std::as_const(*this)[name]; }
Json Json::operator[](std::size_t index) && { return items.at(index); }
Json Json::with(const std::string& name, const std::string& value) && { return std::as_const(*this).with(name, value); }

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
