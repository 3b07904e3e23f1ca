#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace fleetledger {

/// What stands after the `?`: names and values, decoded, in the order they came in.
class Query {
 public:
  static constexpr std::size_t kMostParameters = 64;

  Query() = default;
  explicit Query(std::vector<std::pair<std::string, std::string>> parameters) : parameters_(std::move(parameters)) {}

  /// The value of a parameter that was given exactly once; nullptr if it was not given, or several times: nobody can
  /// say which one was meant.
  [[nodiscard]] const std::string* only(std::string_view name) const;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& all() const { return parameters_; }

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

/// What a request asks for.
struct Target {
  /// What stands between the slashes, decoded one by one, so that an encoded slash does not split: "/" is {""}, "/a/b"
  /// is {"a", "b"}, "/a/" is {"a", ""}. Nothing is normalised: "//" is {"", ""} and ".." is "..".
  std::vector<std::string> path;
  Query query;
};

/// Reads a target as it stands in the request line, "/path?query"; the caller bounds its length. Refused
/// (Error::Kind::invalid): one that does not begin with a slash, has raw bytes other than printable ASCII or a `#`, has
/// a `%` without two hexadecimal digits, decodes to control characters or to what is not UTF-8, or has too many
/// parameters. In the query a `+` is a space.
[[nodiscard]] Result<Target> parse_target(std::string_view text);

}  // namespace fleetledger
