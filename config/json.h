#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"

namespace fleetledger {

/// One value of a JsonDocument, which must outlive it; or no value, which is what asking for something absent gives.
/// Whatever the value is, nothing here fails: what it is not comes back as nothing.
class JsonValue {
 public:
  JsonValue() = default;

  [[nodiscard]] bool present() const { return value_ != nullptr; }
  [[nodiscard]] bool is_null() const;
  [[nodiscard]] bool is_object() const;
  [[nodiscard]] bool is_array() const;

  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<double> number() const;
  /// A number without a fraction that fits.
  [[nodiscard]] std::optional<std::int64_t> integer() const;
  /// May hold any character, also NUL.
  [[nodiscard]] std::optional<std::string_view> text() const;
  /// The text, of a longer one the characters that fit into `most` bytes; empty if it is no text.
  [[nodiscard]] std::string short_text(std::size_t most) const;

  /// The value as JSON without spaces, cut to `most` bytes likewise; empty if it is none, or nested deeper than 32.
  [[nodiscard]] std::string json(std::size_t most) const;

  /// Of several members of one name the last, as JavaScript does it.
  [[nodiscard]] JsonValue member(std::string_view name) const;
  /// How many members have this name.
  [[nodiscard]] std::size_t count(std::string_view name) const;

  /// How many elements an array has; 0 for anything else.
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] JsonValue element(std::size_t index) const;

 private:
  friend class JsonDocument;
  explicit JsonValue(const void* value) : value_(value) {}

  const void* value_ = nullptr;
};

/// A whole JSON text, checked: valid UTF-8, with or without a byte order mark, nothing after the value. Half a
/// surrogate pair, written as an escape, is U+FFFD. Depth costs no stack.
class JsonDocument {
 public:
  /// Needs about ten times the size of `text` while it lives: who reads foreign text limits its size.
  [[nodiscard]] static Result<JsonDocument> parse(std::string_view text);

  [[nodiscard]] JsonValue root() const;

 private:
  struct Content;
  explicit JsonDocument(std::shared_ptr<const Content> content) : content_(std::move(content)) {}

  std::shared_ptr<const Content> content_;
};

}  // namespace fleetledger
