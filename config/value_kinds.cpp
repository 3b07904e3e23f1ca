#include "config/value_kinds.h"

#include <charconv>
#include <utility>

#include "config/listen_address.h"
#include "config/suggestion.h"
#include "config/values.h"

namespace fleetledger {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kLongestText = 4096;

bool looks_like_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error != std::errc::invalid_argument && end == text.data() + text.size();
}

bool is_truth(std::string_view text) { return text == "true" || text == "false"; }

// What a node that should be something else is, for a message.
std::string described(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing is given";
    case YamlNode::Kind::list:
      return "this is a list";
    case YamlNode::Kind::map:
      return "this is a map";
    case YamlNode::Kind::scalar:
      break;
  }
  return quoted(node.text) + " is a single value";
}

// The text of a node that holds one value; otherwise nothing, and a problem.
const std::string* single_value(const YamlNode& node, std::string_view key, std::string_view wanted,
                                Findings& findings) {
  if (node.kind == YamlNode::Kind::scalar) return &node.text;
  findings.problem(node.line, key, std::string(wanted) + " is needed; " + described(node));
  return nullptr;
}

std::optional<std::string> read_text(const YamlNode& node, std::string_view key, Findings& findings) {
  if (node.kind == YamlNode::Kind::null) {
    // A bare ~ is YAML's word for nothing, and the likeliest way to come here.
    findings.problem(node.line, key, "text is needed; nothing is given (the home folder is written \"~\", in quotes)");
    return std::nullopt;
  }
  const std::string* text = single_value(node, key, "text", findings);
  if (text == nullptr) return std::nullopt;
  const auto refuse = [&](std::string why) {
    findings.problem(node.line, key, std::move(why));
    return std::nullopt;
  };
  if (node.style == YamlNode::Style::plain && looks_like_number(*text)) {
    return refuse("text is needed; " + quoted(*text) + " is a number unless it is written in quotes");
  }
  if (node.style == YamlNode::Style::plain && is_truth(*text)) {
    return refuse("text is needed; " + quoted(*text) + " is a truth value unless it is written in quotes");
  }
  if (text->empty()) return refuse("text is needed; it is empty");
  if (text->size() > kLongestText) return refuse("longer than " + std::to_string(kLongestText) + " bytes");
  const auto is_control = [](char letter) { return (letter >= 0 && letter < 0x20) || letter == 0x7F; };
  if (std::any_of(text->begin(), text->end(), is_control)) return refuse(quoted(*text) + " has a control character");
  return *text;
}

bool rooted(std::string_view path) {
  if (path.starts_with('/')) return true;
  for (const std::string_view root : {"~", "<state>"}) {
    if (path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/')) return true;
  }
  return false;
}

std::optional<std::string> read_path(const YamlNode& node, std::string_view key, Findings& findings) {
  std::optional<std::string> text = read_text(node, key, findings);
  if (text && !rooted(*text)) {
    findings.problem(node.line, key, quoted(*text) + R"( is no full path: it starts with "/", "~/" or "<state>/")");
    return std::nullopt;
  }
  return text;
}

std::optional<std::string> read_program(const YamlNode& node, std::string_view key, Findings& findings) {
  std::optional<std::string> text = read_text(node, key, findings);
  if (text && text->find('/') != std::string::npos && !rooted(*text)) {
    findings.problem(node.line, key, quoted(*text) + " is neither a program's name nor a full path");
    return std::nullopt;
  }
  return text;
}

std::optional<bool> read_truth(const YamlNode& node, std::string_view key, Findings& findings) {
  const std::string* text = single_value(node, key, "true or false", findings);
  if (text == nullptr) return std::nullopt;
  if (node.style == YamlNode::Style::quoted || !is_truth(*text)) {
    findings.problem(
        node.line, key,
        "true or false is needed; " + quoted(*text) + (is_truth(*text) ? " in quotes is text" : " is neither"));
    return std::nullopt;
  }
  return *text == "true";
}

std::optional<milliseconds> read_duration(const YamlNode& node, std::string_view key, Findings& findings,
                                          const DurationBounds& bounds) {
  const std::string* text = single_value(node, key, "a duration", findings);
  if (text == nullptr) return std::nullopt;
  const Result<milliseconds> parsed = parse_duration(*text);
  if (!parsed) {
    findings.problem(node.line, key, parsed.error().text);
    return std::nullopt;
  }
  if (*parsed > bounds.most) {
    findings.problem(node.line, key, *text + " is too long; the most is " + format_duration(bounds.most));
    return std::nullopt;
  }
  if (*parsed >= bounds.least) return *parsed;
  if (bounds.raise) {
    findings.remark(node.line, key, *text + " is raised to " + format_duration(bounds.least) + ", the least there is");
    return bounds.least;
  }
  findings.problem(node.line, key, *text + " is too short; the least is " + format_duration(bounds.least));
  return std::nullopt;
}

std::string duration_form(const DurationBounds& bounds) {
  return "duration, " + format_duration(bounds.least) + " to " + format_duration(bounds.most);
}

}  // namespace

ValueKind<bool> truth() {
  return {.form = "true | false", .read = read_truth, .show = [](bool value) { return value ? "true" : "false"; }};
}

ValueKind<std::string> text() {
  return {.form = "text", .read = read_text, .show = [](const std::string& value) { return value; }};
}

ValueKind<std::string> path() {
  return {.form = "path", .read = read_path, .show = [](const std::string& value) { return value; }};
}

ValueKind<std::string> program() {
  return {.form = "name or path", .read = read_program, .show = [](const std::string& value) { return value; }};
}

ValueKind<std::string> listen_address() {
  const auto read = [](const YamlNode& node, std::string_view key, Findings& findings) -> std::optional<std::string> {
    std::optional<std::string> text = read_text(node, key, findings);
    if (!text) return std::nullopt;
    if (const auto parsed = parse_listen_address(*text); !parsed) {
      findings.problem(node.line, key, parsed.error().text);
      return std::nullopt;
    }
    return text;
  };
  return {.form = "address:port or unix:path", .read = read, .show = [](const std::string& value) { return value; }};
}

ValueKind<std::string> host_name() {
  const auto read = [](const YamlNode& node, std::string_view key, Findings& findings) -> std::optional<std::string> {
    std::optional<std::string> text = read_text(node, key, findings);
    if (text && text->front() != '[' && text->find_first_of(":/ @?#") != std::string::npos) {
      findings.problem(node.line, key, quoted(*text) + " is no host name; it stands without a scheme and a port");
      return std::nullopt;
    }
    return text;
  };
  return {.form = "host name", .read = read, .show = [](const std::string& value) { return value; }};
}

ValueKind<std::int64_t> whole_number(std::int64_t least, std::int64_t most) {
  const std::string range = std::to_string(least) + " to " + std::to_string(most);
  const auto read = [=](const YamlNode& node, std::string_view key, Findings& findings) -> std::optional<std::int64_t> {
    const std::string* text = single_value(node, key, "a whole number", findings);
    if (text == nullptr) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size() || number < least || number > most) {
      findings.problem(node.line, key, quoted(*text) + " is no whole number from " + range);
      return std::nullopt;
    }
    return number;
  };
  return {
      .form = "whole number, " + range, .read = read, .show = [](std::int64_t value) { return std::to_string(value); }};
}

ValueKind<Bytes> size(Bytes least, Bytes most) {
  const auto read = [=](const YamlNode& node, std::string_view key, Findings& findings) -> std::optional<Bytes> {
    const std::string* text = single_value(node, key, "a size", findings);
    if (text == nullptr) return std::nullopt;
    const Result<Bytes> parsed = parse_size(*text);
    if (!parsed) {
      findings.problem(node.line, key, parsed.error().text);
      return std::nullopt;
    }
    if (*parsed < least || *parsed > most) {
      const bool small = *parsed < least;
      findings.problem(node.line, key,
                       *text + (small ? " is too small; the least is " : " is too large; the most is ") +
                           format_size(small ? least : most));
      return std::nullopt;
    }
    return *parsed;
  };
  return {.form = "size, " + format_size(least) + " to " + format_size(most), .read = read, .show = format_size};
}

ValueKind<std::vector<std::string>> list_of(const ValueKind<std::string>& kind) {
  const auto read = [kind](const YamlNode& node, std::string_view key,
                           Findings& findings) -> std::optional<std::vector<std::string>> {
    if (node.kind != YamlNode::Kind::list) {
      findings.problem(node.line, key, "a list is needed, like [a, b] or []; " + described(node));
      return std::nullopt;
    }
    std::vector<std::string> values;
    for (const YamlNode& item : node.items) {
      if (std::optional<std::string> value = kind.read(item, key, findings)) values.push_back(*std::move(value));
    }
    return values;
  };
  const auto show = [](const std::vector<std::string>& values) {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "\"" : ", \"") + value + "\"";
    return "[" + list + "]";
  };
  return {.form = "list of: " + kind.form, .single = false, .read = read, .show = show};
}

ValueKind<milliseconds> duration(DurationBounds bounds) {
  return {.form = duration_form(bounds),
          .read = [bounds](const YamlNode& node, std::string_view key,
                           Findings& findings) { return read_duration(node, key, findings, bounds); },
          .show = format_duration};
}

ValueKind<seconds> whole_seconds(DurationBounds bounds) {
  const auto read = [bounds](const YamlNode& node, std::string_view key, Findings& findings) -> std::optional<seconds> {
    const std::optional<milliseconds> value = read_duration(node, key, findings, bounds);
    if (!value) return std::nullopt;
    const auto whole = std::chrono::floor<seconds>(*value);
    if (whole != *value) {
      findings.problem(node.line, key, node.text + " is not a whole number of seconds");
      return std::nullopt;
    }
    return whole;
  };
  return {.form = duration_form(bounds), .read = read, .show = format_duration};
}

ValueKind<std::optional<seconds>> seconds_or_never(DurationBounds bounds) {
  const ValueKind<seconds> some = whole_seconds(bounds);
  const auto read = [some](const YamlNode& node, std::string_view key,
                           Findings& findings) -> std::optional<std::optional<seconds>> {
    if (node.kind == YamlNode::Kind::scalar && node.text == "never") return std::optional<seconds>();
    const std::optional<seconds> value = some.read(node, key, findings);
    return value ? std::optional(value) : std::nullopt;
  };
  return {.form = "never | " + some.form, .read = read, .show = [some](const std::optional<seconds>& value) {
            return value ? some.show(*value) : std::string("never");
          }};
}

ValueKind<std::string> one_of(std::span<const std::string_view> words) {
  const std::vector<std::string_view> known(words.begin(), words.end());
  std::string form;
  for (const std::string_view word : known) form.append(form.empty() ? "" : " | ").append(word);
  const auto read = [known, form](const YamlNode& node, std::string_view key,
                                  Findings& findings) -> std::optional<std::string> {
    const std::string* text = single_value(node, key, "one of " + form, findings);
    if (text == nullptr) return std::nullopt;
    if (std::find(known.begin(), known.end(), *text) == known.end()) {
      findings.problem(node.line, key, quoted(*text) + " is none of " + form + did_you_mean(*text, known));
      return std::nullopt;
    }
    return *text;
  };
  return {.form = form, .read = read, .show = [](const std::string& value) { return value; }};
}

}  // namespace fleetledger
