#include "config/json.h"

#include <cmath>
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>

namespace fleetledger {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;

const rapidjson::Value& as_value(const void* value) { return *static_cast<const rapidjson::Value*>(value); }

std::string_view text_of(const rapidjson::Value& value) { return {value.GetString(), value.GetStringLength()}; }

}  // namespace

bool JsonValue::is_null() const { return present() && as_value(value_).IsNull(); }
bool JsonValue::is_object() const { return present() && as_value(value_).IsObject(); }
bool JsonValue::is_array() const { return present() && as_value(value_).IsArray(); }

std::optional<bool> JsonValue::boolean() const {
  if (!present() || !as_value(value_).IsBool()) return std::nullopt;
  return as_value(value_).GetBool();
}

std::optional<double> JsonValue::number() const {
  if (!present() || !as_value(value_).IsNumber()) return std::nullopt;
  return as_value(value_).GetDouble();
}

std::optional<std::int64_t> JsonValue::integer() const {
  if (!present()) return std::nullopt;
  const rapidjson::Value& value = as_value(value_);
  if (value.IsInt64()) return value.GetInt64();
  if (!value.IsDouble()) return std::nullopt;
  constexpr double kExact = 9'007'199'254'740'992.0;  // 2^53: JavaScript's whole numbers end here
  const double number = value.GetDouble();
  if (!(std::abs(number) <= kExact) || std::trunc(number) != number) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

std::optional<std::string_view> JsonValue::text() const {
  if (!present() || !as_value(value_).IsString()) return std::nullopt;
  return text_of(as_value(value_));
}

std::string JsonValue::short_text(std::size_t most) const {
  std::string_view whole = text().value_or("");
  if (whole.size() <= most) return std::string(whole);
  while (most > 0 && (static_cast<unsigned char>(whole[most]) & 0xC0U) == 0x80U) --most;
  return std::string(whole.substr(0, most));
}

JsonValue JsonValue::member(std::string_view name) const {
  const void* found = nullptr;
  if (is_object()) {
    for (const auto& member : as_value(value_).GetObject()) {
      if (text_of(member.name) == name) found = &member.value;
    }
  }
  return JsonValue(found);
}

std::size_t JsonValue::count(std::string_view name) const {
  std::size_t found = 0;
  if (is_object()) {
    for (const auto& member : as_value(value_).GetObject()) {
      if (text_of(member.name) == name) ++found;
    }
  }
  return found;
}

std::size_t JsonValue::size() const { return is_array() ? as_value(value_).Size() : 0; }

JsonValue JsonValue::element(std::size_t index) const {
  if (index >= size()) return {};
  return JsonValue(&as_value(value_)[static_cast<rapidjson::SizeType>(index)]);
}

struct JsonDocument::Content {
  rapidjson::Document document;
};

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
  if (text.empty()) return fail("it is empty", Error::Kind::invalid);
  // The parser takes a NUL for the end; a crash of the host can leave a tail of them.
  if (text.find('\0') != std::string_view::npos) return fail("it is not JSON: it holds a NUL", Error::Kind::invalid);
  // Left to RapidJSON, any of the mark's three bytes would do.
  const std::size_t mark = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  auto content = std::make_shared<Content>();
  rapidjson::MemoryStream stream(text.data() + mark, text.size() - mark);
  content->document.ParseStream<kFlags, rapidjson::UTF8<>>(stream);
  if (content->document.HasParseError()) {
    std::string reason = rapidjson::GetParseError_En(content->document.GetParseError());
    if (reason.ends_with('.')) reason.pop_back();
    return fail(
        "it is not JSON: " + reason + " (byte " + std::to_string(mark + content->document.GetErrorOffset()) + ")",
        Error::Kind::invalid);
  }
  return JsonDocument(std::move(content));
}

JsonValue JsonDocument::root() const { return JsonValue(&content_->document); }

}  // namespace fleetledger
