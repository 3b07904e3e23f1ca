#pragma once

#include <string>
#include <vector>

namespace fleetledger::e2e {

/// A JSON value as a plain tree. Asking for what is not there throws, which fails a test.
struct Json {
  enum class Kind { null, boolean, number, text, array, object };

  Kind kind = Kind::null;
  bool flag = false;
  double number = 0;  ///< exact for whole numbers below 2^53
  std::string text;
  std::vector<Json> items;         ///< of an array; of an object the values
  std::vector<std::string> names;  ///< of an object, in their order: as many as values

  [[nodiscard]] const Json& operator[](const std::string& name) const&;
  [[nodiscard]] const Json& operator[](std::size_t index) const&;
  /// The item of an array whose member `name` is this text.
  [[nodiscard]] const Json& with(const std::string& name, const std::string& value) const&;
  // Of a tree that is about to go: a part that stays.
  [[nodiscard]] Json operator[](const std::string& name) &&;
  [[nodiscard]] Json operator[](std::size_t index) &&;
  [[nodiscard]] Json with(const std::string& name, const std::string& value) &&;

  [[nodiscard]] std::size_t size() const { return items.size(); }
  [[nodiscard]] const std::vector<std::string>& keys() const { return names; }
  [[nodiscard]] bool is_null() const { return kind == Kind::null; }
};

/// Throws if the text is not one JSON document.
[[nodiscard]] Json parse_json(const std::string& text);

/// The text as a JSON string, quotes included.
[[nodiscard]] std::string json_text(const std::string& text);

}  // namespace fleetledger::e2e
