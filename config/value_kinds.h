#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/problem.h"
#include "config/yaml_tree.h"
#include "core/units.h"

namespace fleetledger {

// What may stand behind a key: the building blocks of the key tables in parse_config.cpp.

/// Collects what is found wrong, and what was put right.
struct Findings {
  std::string file;
  std::vector<Problem> problems;
  std::vector<Problem> remarks;

  void problem(int line, std::string_view key, std::string message) {
    problems.push_back({file, line, std::string(key), std::move(message)});
  }
  void remark(int line, std::string_view key, std::string message) {
    remarks.push_back({file, line, std::string(key), std::move(message)});
  }
};

/// One kind of value: how it is read, shown and described.
template <typename T>
struct ValueKind {
  std::string form;    ///< "tree | process"
  bool single = true;  ///< one value, so that an environment variable can give it
  /// The value, or nothing and a problem.
  std::function<std::optional<T>(const YamlNode&, std::string_view key, Findings&)> read;
  std::function<std::string(const T&)> show;  ///< as it is written in the file
};

/// A value that is allowed, and its word.
template <typename T>
struct Word {
  std::string_view word;
  T value;
};

struct DurationBounds {
  std::chrono::milliseconds least;
  std::chrono::milliseconds most;
  bool raise = false;  ///< a shorter one is raised to `least`, with a remark; else it is a problem, like a longer one
};

[[nodiscard]] ValueKind<bool> truth();
[[nodiscard]] ValueKind<std::string> text();
/// "/…", "~", "~/…", "<state>" or "<state>/…"; not expanded.
[[nodiscard]] ValueKind<std::string> path();
/// The name of a program, or where it is.
[[nodiscard]] ValueKind<std::string> program();
/// See config/listen_address.h.
[[nodiscard]] ValueKind<std::string> listen_address();
/// A name in a `Host` header, without a port.
[[nodiscard]] ValueKind<std::string> host_name();
[[nodiscard]] ValueKind<std::int64_t> whole_number(std::int64_t least, std::int64_t most);
[[nodiscard]] ValueKind<Bytes> size(Bytes least, Bytes most);
[[nodiscard]] ValueKind<std::vector<std::string>> list_of(const ValueKind<std::string>& kind);
[[nodiscard]] ValueKind<std::chrono::milliseconds> duration(DurationBounds bounds);
/// Likewise; a fraction of a second is a problem.
[[nodiscard]] ValueKind<std::chrono::seconds> whole_seconds(DurationBounds bounds);
/// Likewise, or "never", which is nothing.
[[nodiscard]] ValueKind<std::optional<std::chrono::seconds>> seconds_or_never(DurationBounds bounds);
/// Text that is one of these.
[[nodiscard]] ValueKind<std::string> one_of(std::span<const std::string_view> words);

template <typename T>
[[nodiscard]] ValueKind<T> one_of(std::span<const Word<T>> words) {
  std::vector<std::string_view> names;
  for (const auto& word : words) names.push_back(word.word);
  const ValueKind<std::string> named = one_of(std::span<const std::string_view>(names));
  const auto read = [=](const YamlNode& node, std::string_view key, Findings& findings) -> std::optional<T> {
    const std::optional<std::string> name = named.read(node, key, findings);
    if (!name) return std::nullopt;
    return std::find_if(words.begin(), words.end(), [&](const auto& word) { return word.word == *name; })->value;
  };
  const auto show = [=](const T& value) {
    return std::string(
        std::find_if(words.begin(), words.end(), [&](const auto& word) { return word.value == value; })->word);
  };
  return {.form = named.form, .read = read, .show = show};
}

}  // namespace fleetledger
