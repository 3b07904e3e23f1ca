#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/units.h"

namespace fleetledger {

/// Writes one JSON text, depth first: `w.object().field("a", 1).key("b").array()...end().end()`. Strings, also
/// names, are made valid UTF-8 (bytes that are none become U+FFFD); numbers that are not finite become null.
class JsonWriter {
 public:
  JsonWriter();
  ~JsonWriter();
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  JsonWriter& object();
  JsonWriter& array();
  JsonWriter& end();  ///< of the innermost object or array
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool truth);
  JsonWriter& value(double number);
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(std::int32_t number) { return value(static_cast<std::int64_t>(number)); }
  JsonWriter& value(std::uint32_t number) { return value(static_cast<std::uint64_t>(number)); }
  JsonWriter& value(WallTime time) { return value(static_cast<std::int64_t>(time.time_since_epoch().count())); }
  JsonWriter& value(Bytes bytes) { return value(bytes.value); }
  JsonWriter& raw(std::string_view json);  ///< a JSON value of our own, as it stands
  JsonWriter& null();
  template <typename T>
  JsonWriter& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : null();
  }

  template <typename T>
  JsonWriter& field(std::string_view name, const T& what) {
    return key(name).value(what);
  }

  /// The text; the writer is done with.
  [[nodiscard]] std::string take();

 private:
  struct Output;
  std::unique_ptr<Output> output_;
};

/// The text with U+FFFD for each byte that is not UTF-8.
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// To so many decimals as upstream does it: half up, by Math.round(x * 100) / 100.
[[nodiscard]] double round_to_hundredths(double number);
[[nodiscard]] std::optional<double> round_to_hundredths(const std::optional<double>& number);

}  // namespace fleetledger
