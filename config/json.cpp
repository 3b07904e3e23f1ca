#include "config/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

namespace fleetledger {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;

const rapidjson::Value& as_value(const void* value) { return *static_cast<const rapidjson::Value*>(value); }

std::string_view text_of(const rapidjson::Value& value) { return {value.GetString(), value.GetStringLength()}; }

/// What the four digits of a \uNNNN at `at` say; nothing if none stands there.
std::optional<unsigned> escaped_unit(std::string_view text, std::size_t at) {
  constexpr std::size_t kLength = 6;
  if (text.substr(at, 2) != "\\u" || text.size() - at < kLength) return std::nullopt;
  unsigned unit = 0;
  const auto* end = text.data() + at + kLength;
  const auto [read, error] = std::from_chars(text.data() + at + 2, end, unit, 16);
  return error == std::errc() && read == end ? std::optional(unit) : std::nullopt;
}

/// Where the next half of a surrogate pair is escaped without the other half; npos if there is none.
std::size_t find_half_pair(std::string_view text, std::size_t from) {
  for (auto at = text.find('\\', from); at != std::string_view::npos; at = text.find('\\', at)) {
    const auto unit = escaped_unit(text, at).value_or(0);
    if (unit < 0xD800 || unit > 0xDFFF) {
      at = std::min(at + 2, text.size());
      continue;
    }
    const auto next = escaped_unit(text, at + 6).value_or(0);
    if (unit > 0xDBFF || next < 0xDC00 || next > 0xDFFF) return at;
    at += 12;
  }
  return std::string_view::npos;
}

/// JavaScript cuts texts between the halves of a pair, and writes the half that is left as an escape, which is no
/// character: U+FFFD stands in for it. The text keeps its length.
void mend_half_pairs(std::string& text) {
  for (auto at = find_half_pair(text, 0); at != std::string::npos; at = find_half_pair(text, at + 6)) {
    text.replace(at, 6, "\\uFFFD");
  }
}

/// Gives up where values are nested deeper than anybody means: writing costs stack for each level.
class ShallowWriter : public rapidjson::Writer<rapidjson::StringBuffer> {
 public:
  using Writer::Writer;
  bool StartObject() { return ++depth_ <= kDeepest && Writer::StartObject(); }
  bool StartArray() { return ++depth_ <= kDeepest && Writer::StartArray(); }
  bool EndObject(rapidjson::SizeType count = 0) { return --depth_, Writer::EndObject(count); }
  bool EndArray(rapidjson::SizeType count = 0) { return --depth_, Writer::EndArray(count); }

 private:
  static constexpr int kDeepest = 32;
  int depth_ = 0;
};

/// The characters that fit into `most` bytes.
std::string cut(std::string_view whole, std::size_t most) {
  if (whole.size() <= most) return std::string(whole);
  while (most > 0 && (static_cast<unsigned char>(whole[most]) & 0xC0U) == 0x80U) --most;
  return std::string(whole.substr(0, most));
}

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

std::string JsonValue::short_text(std::size_t most) const { return cut(text().value_or(""), most); }

std::string JsonValue::json(std::size_t most) const {
  if (!present()) return {};
  rapidjson::StringBuffer buffer;
  ShallowWriter writer(buffer);
  if (!as_value(value_).Accept(writer)) return {};
  return cut({buffer.GetString(), buffer.GetSize()}, most);
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
  std::string mended;
  if (find_half_pair(text, 0) != std::string_view::npos) {
    mended = text;
    mend_half_pairs(mended);
    text = mended;
  }
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
