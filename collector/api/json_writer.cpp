#include "collector/api/json_writer.h"

#include <cmath>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <vector>

#include "config/values.h"

namespace fleetledger {

std::string valid_utf8(std::string_view text) {
  std::string valid;
  for (auto at = find_invalid_utf8(text); at != std::string_view::npos; at = find_invalid_utf8(text)) {
    valid += text.substr(0, at);
    valid += "\xEF\xBF\xBD";
    text.remove_prefix(at + 1);
  }
  return valid.append(text);
}

struct JsonWriter::Output {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer{buffer};
  std::vector<bool> open_objects;  ///< of what is open, innermost last: is it an object
};

JsonWriter::JsonWriter() : output_(std::make_unique<Output>()) {}
JsonWriter::~JsonWriter() = default;

JsonWriter& JsonWriter::object() {
  output_->writer.StartObject();
  output_->open_objects.push_back(true);
  return *this;
}

JsonWriter& JsonWriter::array() {
  output_->writer.StartArray();
  output_->open_objects.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::end() {
  const bool is_object = output_->open_objects.back();
  output_->open_objects.pop_back();
  is_object ? output_->writer.EndObject() : output_->writer.EndArray();
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  const auto valid = valid_utf8(name);
  output_->writer.Key(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  const auto valid = valid_utf8(text);
  output_->writer.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
  return *this;
}

JsonWriter& JsonWriter::value(bool truth) {
  output_->writer.Bool(truth);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: above it not every whole number is a double
  if (!std::isfinite(number)) {
    return null();
  }
  if (number == std::trunc(number) && std::abs(number) < kExact) {
    return value(static_cast<std::int64_t>(number));
  }
  output_->writer.Double(number);
  return *this;
}

JsonWriter& JsonWriter::value(std::int64_t number) {
  output_->writer.Int64(number);
  return *this;
}

JsonWriter& JsonWriter::value(std::uint64_t number) {
  output_->writer.Uint64(number);
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  output_->writer.RawValue(json.data(), json.size(), rapidjson::kObjectType);
  return *this;
}

JsonWriter& JsonWriter::null() {
  output_->writer.Null();
  return *this;
}

std::string JsonWriter::take() { return {output_->buffer.GetString(), output_->buffer.GetSize()}; }

double round_to_hundredths(double number) { return std::floor(number * 100 + 0.5) / 100; }

std::optional<double> round_to_hundredths(const std::optional<double>& number) {
  return number ? std::optional(round_to_hundredths(*number)) : std::nullopt;
}

}  // namespace fleetledger
