#include "config/registry.h"

#include <limits>

#include "config/json.h"
#include "config/timestamp.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLongestName = 256;
constexpr std::size_t kLongestPath = 4'096;
constexpr std::size_t kMostRemarks = 20;

/// How the two kinds of registry call the same things.
struct Keys {
  std::string_view name;
  std::string_view path;
};

std::string_view last_part(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}

/// Why `path` cannot be an agent's, or nothing.
std::string_view path_problem(const JsonValue& value) {
  const auto path = value.text();
  if (!value.present()) return "it has no path";
  if (!path) return "its path is not a text";
  if (!path->starts_with('/')) return "its path is not absolute";
  if (path->size() > kLongestPath) return "its path is too long";
  if (path->find('\0') != std::string_view::npos) return "its path holds a NUL";
  return {};
}

std::optional<Pid> read_pid(const JsonValue& value) {
  const auto pid = value.integer();
  if (!pid || *pid <= 0 || *pid > std::numeric_limits<Pid>::max()) return std::nullopt;
  return static_cast<Pid>(*pid);
}

Result<Registry> parse(std::string_view text, const Keys& keys) {
  const auto document = JsonDocument::parse(text);
  if (!document) return fail(document.error());
  if (!document->root().is_object()) return fail("it is not a JSON object", Error::Kind::invalid);
  const JsonValue entries = document->root().member("entries");
  if (!entries.is_array()) return fail("it has no list `entries`", Error::Kind::invalid);

  Registry registry;
  std::size_t remarks = 0;
  if (document->root().count("entries") > 1) registry.remarks.emplace_back("`entries` is there twice: the last counts");
  for (std::size_t index = 0; index < entries.size(); ++index) {
    const JsonValue value = entries.element(index);
    const auto remark = [&](std::string_view what) {
      if (++remarks > kMostRemarks) return;
      registry.remarks.push_back("entry " + std::to_string(index + 1) + ": " + std::string(what));
    };
    if (!value.is_object()) {
      remark("it is not an object: skipped");
      continue;
    }
    const JsonValue path = value.member(keys.path);
    if (const auto problem = path_problem(path); !problem.empty()) {
      remark(std::string(problem) + ": skipped");
      continue;
    }
    RegistryEntry entry;
    entry.path = *path.text();
    entry.name = value.member(keys.name).short_text(kLongestName);
    if (entry.name.empty()) {
      entry.name = last_part(entry.path);
      remark("it has no name: the folder's is taken");
    }
    for (const std::string_view key :
         {keys.path, keys.name, std::string_view("pid"), std::string_view("lastHeartbeat")}) {
      if (value.count(key) > 1) remark("`" + std::string(key) + "` is there twice: the last counts");
    }
    entry.pid = read_pid(value.member("pid"));
    entry.last_heartbeat = read_timestamp(value.member("lastHeartbeat"));
    registry.entries.push_back(std::move(entry));
  }
  if (remarks > kMostRemarks) {
    registry.remarks.push_back("and " + std::to_string(remarks - kMostRemarks) + " more of this kind");
  }
  return registry;
}

}  // namespace

Result<Registry> parse_registry(std::string_view text) { return parse(text, {"name", "path"}); }

Result<Registry> parse_port_registry(std::string_view text) { return parse(text, {"projectName", "projectDir"}); }

}  // namespace fleetledger
