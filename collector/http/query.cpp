#include "collector/http/query.h"

#include <algorithm>
#include <optional>

#include "config/values.h"

namespace fleetledger {
namespace {

enum class Part { path, query };

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

Result<std::string> decode(std::string_view text, Part part) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '%') {
      const auto high = at + 1 < text.size() ? hex_digit(text[at + 1]) : std::nullopt;
      const auto low = at + 2 < text.size() ? hex_digit(text[at + 2]) : std::nullopt;
      if (!high || !low) return fail("bad percent-encoding in the request target", Error::Kind::invalid);
      c = static_cast<char>(*high * 16 + *low);
      at += 2;
    } else if (c == '+' && part == Part::query) {
      c = ' ';
    }
    if (is_control(c)) return fail("control character in the request target", Error::Kind::invalid);
    decoded += c;
  }
  if (find_invalid_utf8(decoded) != std::string_view::npos) {
    return fail("the request target is not UTF-8", Error::Kind::invalid);
  }
  return decoded;
}

/// Takes what stands before the first `separator` off the front of `rest`; `more` says whether there was one.
std::string_view take(std::string_view& rest, char separator, bool& more) {
  const std::size_t end = rest.find(separator);
  more = end != std::string_view::npos;
  const std::string_view taken = rest.substr(0, end);
  rest.remove_prefix(more ? end + 1 : rest.size());
  return taken;
}

Result<Query> parse_query(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (bool more = true; more;) {
    std::string_view value = take(text, '&', more);
    if (value.empty()) continue;
    if (parameters.size() == Query::kMostParameters) return fail("too many parameters", Error::Kind::invalid);
    bool has_value = false;
    const std::string_view name = take(value, '=', has_value);
    auto decoded_name = decode(name, Part::query);
    if (!decoded_name) return fail(decoded_name.error());
    auto decoded_value = decode(value, Part::query);
    if (!decoded_value) return fail(decoded_value.error());
    parameters.emplace_back(std::move(*decoded_name), std::move(*decoded_value));
  }
  return Query(std::move(parameters));
}

}  // namespace

const std::string* Query::only(std::string_view name) const {
  const auto named = [&](const auto& parameter) { return parameter.first == name; };
  const auto first = std::find_if(parameters_.begin(), parameters_.end(), named);
  if (first == parameters_.end() || std::any_of(first + 1, parameters_.end(), named)) return nullptr;
  return &first->second;
}

Result<Target> parse_target(std::string_view text) {
  if (!text.starts_with('/')) return fail("the request target does not begin with a slash", Error::Kind::invalid);
  if (std::any_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c >= 0x7f || c == '#'; })) {
    return fail("character in the request target that must be encoded", Error::Kind::invalid);
  }
  bool has_query = false;
  std::string_view path = take(text, '?', has_query);
  path.remove_prefix(1);

  Target target;
  for (bool more = true; more;) {
    auto segment = decode(take(path, '/', more), Part::path);
    if (!segment) return fail(segment.error());
    target.path.push_back(std::move(*segment));
  }
  auto query = parse_query(text);
  if (!query) return fail(query.error());
  target.query = std::move(*query);
  return target;
}

}  // namespace fleetledger
