#include "config/parse_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <concepts>
#include <type_traits>
#include <utility>

#include "config/listen_address.h"
#include "config/suggestion.h"
#include "config/value_kinds.h"
#include "config/values.h"
#include "config/yaml_tree.h"

namespace fleetledger {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr std::size_t kMostProblems = 100;
constexpr std::string_view kVariablePrefix = "FLEETLEDGER_";

// A member may be a T or, where it can be absent, an optional<T>.
template <typename T>
const T* known(const T& value) {
  return &value;
}
template <typename T>
const T* known(const std::optional<T>& value) {
  return value ? &*value : nullptr;
}

/// A row of a section's table: a key, the member that it sets, what may stand there, what it means.
template <typename Section>
struct Key {
  template <typename Member, typename T>
  requires std::assignable_from<Member&, T> Key(std::string_view key, Member Section::*member, ValueKind<T> kind,
                                                std::string_view meant)
      : name(key), meaning(meant), form(kind.form), single(kind.single) {
    read = [=](Section& section, const YamlNode& node, std::string_view where, Findings& findings) {
      if (std::optional<T> value = kind.read(node, where, findings)) section.*member = *std::move(value);
    };
    show = [=](const Section& section) {
      const T* value = known<T>(section.*member);
      return value != nullptr ? kind.show(*value) : std::string();
    };
  }

  std::string_view name;
  std::string_view meaning;
  std::string form;
  bool single;
  std::function<void(Section&, const YamlNode&, std::string_view, Findings&)> read;
  std::function<std::string(const Section&)> show;
};

template <typename Section>
using Keys = std::vector<Key<Section>>;

// ---- The tables. A new key is a row here, a member in config.h, and a line in fleetledger.example.yaml. ----

constexpr std::array kScopes{Word<Scope>{"tree", Scope::tree}, Word<Scope>{"process", Scope::process}};
constexpr std::array kSources{Word<ProcessSourceKind>{"ps", ProcessSourceKind::ps},
                              Word<ProcessSourceKind>{"procfs", ProcessSourceKind::procfs}};
constexpr std::array kLocations{Word<LedgerLocation>{"auto", LedgerLocation::automatic},
                                Word<LedgerLocation>{"agent", LedgerLocation::agent},
                                Word<LedgerLocation>{"central", LedgerLocation::central}};
constexpr std::array kLevels{Word<LogLevel>{"debug", LogLevel::debug}, Word<LogLevel>{"info", LogLevel::info},
                             Word<LogLevel>{"warning", LogLevel::warning}, Word<LogLevel>{"error", LogLevel::error}};

constexpr std::array kMetricsAuths{Word<MetricsAuth>{"operator", MetricsAuth::operators},
                                   Word<MetricsAuth>{"token", MetricsAuth::token},
                                   Word<MetricsAuth>{"none", MetricsAuth::none}};

constexpr DurationBounds kPeriod{.least = 1s, .most = 24h, .raise = true};
constexpr DurationBounds kRetention{.least = 1s, .most = hours{24 * 3650}};
constexpr DurationBounds kTimeout{.least = 100ms, .most = 60s};
constexpr DurationBounds kHttpIdle{.least = 1s, .most = 1h};
constexpr std::int64_t kKibibyte = 1024;

template <typename T, std::size_t size>
ValueKind<T> one_of(const std::array<Word<T>, size>& words) {
  return fleetledger::one_of(std::span<const Word<T>>(words));
}

Keys<AgentOverride> override_keys() {
  using Section = AgentOverride;
  return {
      {"enabled", &Section::enabled, truth(), "metered or not, whatever the agent's own gate says"},
      {"sample_interval", &Section::sample_interval, duration(kPeriod), "its period while a session lives"},
      {"idle_sample_interval", &Section::idle_sample_interval, duration(kPeriod), "its period otherwise"},
      {"retention", &Section::retention, whole_seconds(kRetention), "how long its samples are kept"},
      {"location", &Section::location, one_of(kLocations), "where its ledger is"},
  };
}

ValueKind<std::map<std::string, AgentOverride>> overrides();

Keys<DiscoveryConfig> discovery_keys() {
  using Section = DiscoveryConfig;
  return {
      {"homes", &Section::homes, list_of(path()),
       "homes whose agents are metered; globs; only those that the collector's user owns"},
      {"agents", &Section::agents, list_of(path()), "paths of further agents, which no registry lists"},
      {"exclude", &Section::exclude, list_of(text()), "agents that are left alone, by name, id or path"},
      {"overrides", &Section::overrides, overrides(), "what is said of one agent, by name, id or path"},
  };
}

Keys<SamplingConfig> sampling_keys() {
  using Section = SamplingConfig;
  return {
      {"source", &Section::source, one_of(kSources),
       "how processes are seen: by running ps, or by reading /proc (Linux)"},
      {"scope", &Section::scope, one_of(kScopes), "what counts: a root and all that it started, or the root alone"},
      {"sample_interval", &Section::sample_interval, duration(kPeriod),
       "period while a session lives, where the agent's own config says nothing"},
      {"idle_sample_interval", &Section::idle_sample_interval, duration(kPeriod), "period otherwise, likewise"},
      {"ps", &Section::ps, program(), "the ps to run"},
      {"tmux", &Section::tmux, program(), "the tmux to run"},
      {"timeout", &Section::timeout, duration(kTimeout), "how long either may take before it is stopped"},
      {"heap", &Section::heap, truth(), "whether an agent's own server is asked for its heap, with the agent's token"},
  };
}

Keys<StorageConfig> storage_keys(std::span<const std::string_view> backends) {
  using Section = StorageConfig;
  ValueKind<std::string> backend = fleetledger::one_of(backends);
  backend.form = "name of a backend";
  return {
      {"backend", &Section::backend, std::move(backend), "what keeps the ledgers"},
      {"location", &Section::location, one_of(kLocations), "where ledgers are: beside the agent or with the collector"},
      {"directory", &Section::directory, path(), "the folder of central ledgers"},
      {"retention", &Section::retention, whole_seconds(kRetention),
       "how long samples are kept, where the agent's own config says nothing"},
      {"event_retention", &Section::event_retention, whole_seconds(kRetention),
       "how long rate-limit events are kept that we recorded"},
      {"upstream_event_retention", &Section::upstream_event_retention, seconds_or_never(kRetention),
       "how long those are kept that the agent's own server wrote"},
      {"rollup_retention", &Section::rollup_retention, whole_seconds(kRetention),
       "how long it is kept what the samples of each hour come to"},
      {"max_size", &Section::max_size,
       size(Bytes{kKibibyte * kKibibyte}, Bytes{kKibibyte * kKibibyte * kKibibyte * 64}),
       "what one ledger may hold; beyond it the oldest hours go"},
  };
}

Keys<HttpLimits> http_limit_keys() {
  using Section = HttpLimits;
  return {
      {"connections", &Section::connections, whole_number(1, 10'000), "connections at a time, over all addresses"},
      {"header", &Section::header, size(Bytes{kKibibyte}, Bytes{1024 * kKibibyte}), "the headers of one request"},
      {"url", &Section::url, size(Bytes{256}, Bytes{64 * kKibibyte}), "path and query of one request"},
      {"idle", &Section::idle, duration(kHttpIdle), "how long a connection may be without a whole request"},
  };
}

ValueKind<HttpLimits> http_limits();

Keys<HttpConfig> http_keys() {
  using Section = HttpConfig;
  return {
      {"enabled", &Section::enabled, truth(), "whether `run` serves HTTP"},
      {"listen", &Section::listen, list_of(listen_address()), "where; a Unix socket has mode 0600"},
      {"operator_token_file", &Section::operator_token_file, path(),
       "the operator's token; made at the first start, mode 0600"},
      {"metrics_auth", &Section::metrics_auth, one_of(kMetricsAuths),
       "who may read /metrics: the operator; also who has the token for it; anybody (loopback only)"},
      {"metrics_token_file", &Section::metrics_token_file, path(),
       "the token for /metrics alone; made if metrics_auth is token, mode 0600"},
      {"metrics_sessions", &Section::metrics_sessions, whole_number(0, 10'000),
       "how many sessions have series of their own in /metrics"},
      {"allowed_hosts", &Section::allowed_hosts, list_of(host_name()),
       "names by which clients may call us, besides localhost and loopback numbers"},
      {"allow_remote", &Section::allow_remote, truth(), "lets `listen` name addresses that other hosts can reach"},
      {"limits", &Section::limits, http_limits(), "what clients may take"},
  };
}

Keys<LogConfig> log_keys() {
  using Section = LogConfig;
  return {
      {"level", &Section::level, one_of(kLevels), "what is logged: this and what is graver"},
  };
}

// visit(name, member of Config, keys) for each section.
template <typename Visit>
void for_each_section(std::span<const std::string_view> backends, Visit visit) {
  visit("discovery", &Config::discovery, discovery_keys());
  visit("sampling", &Config::sampling, sampling_keys());
  visit("storage", &Config::storage, storage_keys(backends));
  visit("http", &Config::http, http_keys());
  visit("log", &Config::log, log_keys());
}

// ---- How a map of keys is read with a table. ----

std::string joined(std::string_view path, std::string_view name) {
  return path.empty() ? std::string(name) : std::string(path).append(".").append(name);
}

// A foreign key as part of a path in a message; in quotes if it is not a plain word.
std::string key_text(std::string_view key) {
  const auto plain = [](char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '-' || letter == '/';
  };
  constexpr std::size_t kLongest = 64;
  return !key.empty() && key.size() <= kLongest && std::all_of(key.begin(), key.end(), plain) ? std::string(key)
                                                                                              : quoted(key);
}

// The entries of a map that is read; a key that occurs again is a problem, but is read all the same, so that every
// problem is found. Absent keys keep what they have. An empty map may be written as nothing at all.
const std::vector<YamlEntry>& entries_of(const YamlNode& node, std::string_view path, Findings& findings) {
  if (node.kind != YamlNode::Kind::map && node.kind != YamlNode::Kind::null) {
    findings.problem(node.line, path, "a map of keys is needed, one \"key: value\" a line");
  }
  std::map<std::string_view, int> first_lines;
  for (const YamlEntry& entry : node.entries) {
    const auto [first, is_first] = first_lines.emplace(entry.key, entry.line);
    if (is_first) continue;
    findings.problem(entry.line, joined(path, key_text(entry.key)),
                     "occurs twice; first in line " + std::to_string(first->second));
  }
  return node.entries;
}

void unknown_key(const YamlEntry& entry, std::string_view path, std::span<const std::string_view> names,
                 Findings& findings) {
  findings.problem(entry.line, joined(path, key_text(entry.key)), "unknown key" + did_you_mean(entry.key, names));
}

template <typename Section>
void read_section(Section& section, const Keys<Section>& keys, const YamlNode& node, std::string_view path,
                  Findings& findings) {
  std::vector<std::string_view> names;
  for (const auto& key : keys) names.push_back(key.name);
  for (const YamlEntry& entry : entries_of(node, path, findings)) {
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& row) { return row.name == entry.key; });
    if (key == keys.end()) {
      unknown_key(entry, path, names, findings);
    } else {
      key->read(section, entry.value, joined(path, key->name), findings);
    }
  }
}

ValueKind<std::map<std::string, AgentOverride>> overrides() {
  using Overrides = std::map<std::string, AgentOverride>;
  const auto read = [](const YamlNode& node, std::string_view path, Findings& findings) -> std::optional<Overrides> {
    const Keys<AgentOverride> keys = override_keys();
    Overrides result;
    for (const YamlEntry& entry : entries_of(node, path, findings)) {
      if (entry.key.empty()) findings.problem(entry.line, path, "an agent's name, id or path is needed; it is empty");
      read_section(result[entry.key], keys, entry.value, joined(path, key_text(entry.key)), findings);
    }
    return result;
  };
  return {.form = "map", .single = false, .read = read, .show = [](const Overrides&) { return std::string("{}"); }};
}

ValueKind<HttpLimits> http_limits() {
  const auto read = [](const YamlNode& node, std::string_view path, Findings& findings) -> std::optional<HttpLimits> {
    HttpLimits limits;
    read_section(limits, http_limit_keys(), node, path, findings);
    return limits;
  };
  const auto show = [](const HttpLimits& limits) {
    std::string text;
    for (const auto& key : http_limit_keys()) {
      text.append(text.empty() ? "{" : ", ").append(key.name).append(": ").append(key.show(limits));
    }
    return text + "}";
  };
  return {.form = "map", .single = false, .read = read, .show = show};
}

// ---- The file, the environment, and the documentation. ----

/// Where keys of http stand in the file; 0 for one that is not there.
struct HttpLines {
  int listen = 0;
  int metrics_auth = 0;
};

/// What is wrong only together with another key.
void check_http(const HttpConfig& http, const HttpLines& lines, Findings& findings) {
  if (!http.enabled) return;
  const bool refused = std::any_of(findings.problems.begin(), findings.problems.end(),
                                   [](const Problem& problem) { return problem.key == "http.listen"; });
  if (http.listen.empty() && !refused) {
    findings.problem(lines.listen, "http.listen", "an address is needed; to serve nothing, say http.enabled: false");
  }
  for (const std::string& text : http.listen) {
    const auto address = parse_listen_address(text);
    if (!address || address->loopback) continue;
    if (!http.allow_remote) {
      findings.problem(lines.listen, "http.listen",
                       text + " can be reached from other hosts; if that is meant, say http.allow_remote: true");
    }
    if (http.metrics_auth == MetricsAuth::none) {
      findings.problem(lines.metrics_auth, "http.metrics_auth",
                       "none is for loopback addresses only, and " + text + " can be reached from other hosts");
    }
  }
}

HttpLines read_file(Config& config, const ConfigSource& source, Findings& findings) {
  const YamlTree tree = parse_yaml(source.text, source.file);
  const std::vector<YamlEntry>& entries = entries_of(tree.root, "", findings);
  std::vector<std::string_view> names;
  for_each_section(source.backends, [&](std::string_view name, auto member, const auto& keys) {
    names.push_back(name);
    for (const YamlEntry& entry : entries) {
      if (entry.key == name) read_section(config.*member, keys, entry.value, name, findings);
    }
  });
  for (const YamlEntry& entry : entries) {
    if (std::find(names.begin(), names.end(), entry.key) == names.end()) unknown_key(entry, "", names, findings);
  }
  std::erase_if(findings.problems, [&](const Problem& problem) { return problem.line >= tree.lost_at; });
  findings.problems.insert(findings.problems.begin(), tree.problems.begin(), tree.problems.end());
  HttpLines lines;
  for (const YamlEntry& section : entries) {
    if (section.key != "http") continue;
    for (const YamlEntry& entry : section.value.entries) {
      if (entry.key == "listen") lines.listen = entry.line;
      if (entry.key == "metrics_auth") lines.metrics_auth = entry.line;
    }
  }
  return lines;
}

std::string variable_of(std::string_view section, std::string_view key = "") {
  std::string name = std::string(kVariablePrefix).append(section).append("_").append(key);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
  return name;
}

void read_environment(Config& config, const ConfigSource& source, Findings& findings) {
  std::vector<std::string> names;
  std::vector<std::string> sections;
  std::map<std::string, std::string_view> unread = {source.environment.begin(), source.environment.end()};
  for_each_section(source.backends, [&](std::string_view section, auto member, const auto& keys) {
    sections.push_back(variable_of(section));
    for (const auto& key : keys) {
      const std::string name = variable_of(section, key.name);
      const auto variable = unread.find(name);
      if (key.single) names.push_back(name);
      if (variable == unread.end()) continue;
      if (!key.single) {
        findings.problem(0, name, "lists and maps are set in the file only");
      } else if (find_invalid_utf8(variable->second) != std::string_view::npos) {
        findings.problem(0, name, "this is not UTF-8");
      } else {
        YamlNode node;
        node.kind = YamlNode::Kind::scalar;
        node.line = 0;
        node.style = YamlNode::Style::variable;
        node.text = variable->second;
        key.read(config.*member, node, name, findings);
      }
      unread.erase(variable);
    }
  });

  std::vector<std::string_view> endings;  // all begin alike: only what follows can be near or far
  for (const std::string& name : names) endings.push_back(std::string_view(name).substr(kVariablePrefix.size()));
  for (const auto& [name, value] : unread) {
    if (!name.starts_with(kVariablePrefix)) continue;
    const std::string_view nearest = nearest_word(std::string_view(name).substr(kVariablePrefix.size()), endings);
    const std::string near =
        nearest.empty() ? "" : "; did you mean \"" + std::string(kVariablePrefix).append(nearest) + "\"?";
    const bool of_ours = std::any_of(sections.begin(), sections.end(), [&unknown = name](const std::string& section) {
      return unknown.starts_with(section);
    });
    if (of_ours || !near.empty()) {
      findings.problem(0, key_text(name), "unknown variable" + near);
    } else {
      findings.remark(0, key_text(name), "this variable means nothing here");
    }
  }
}

}  // namespace

ParsedConfig parse_config(const ConfigSource& source) {
  ParsedConfig parsed;
  Findings file{.file = source.file, .problems = {}, .remarks = {}};
  const HttpLines http_lines = read_file(parsed.config, source, file);
  Findings environment{.file = "environment", .problems = {}, .remarks = {}};
  read_environment(parsed.config, source, environment);
  check_http(parsed.config.http, http_lines, file);
  const auto by_line = [](const Problem& left, const Problem& right) { return left.line < right.line; };
  std::stable_sort(file.problems.begin(), file.problems.end(), by_line);
  std::stable_sort(file.remarks.begin(), file.remarks.end(), by_line);

  parsed.problems = std::move(file.problems);
  parsed.problems.insert(parsed.problems.end(), environment.problems.begin(), environment.problems.end());
  if (parsed.problems.size() > kMostProblems) {
    const std::size_t more = parsed.problems.size() - kMostProblems;
    parsed.problems.resize(kMostProblems);
    parsed.problems.push_back({source.file, 0, "", "and " + std::to_string(more) + " more problems"});
  }
  parsed.remarks = std::move(file.remarks);
  parsed.remarks.insert(parsed.remarks.end(), environment.remarks.begin(), environment.remarks.end());
  if (parsed.remarks.size() > kMostProblems) parsed.remarks.resize(kMostProblems);
  return parsed;
}

std::vector<ConfigKey> config_keys() {
  std::vector<ConfigKey> result;
  const Config defaults;
  for_each_section({}, [&](std::string_view section, auto member, const auto& keys) {
    for (const auto& key : keys) {
      result.push_back({joined(section, key.name), key.form, key.show(defaults.*member), std::string(key.meaning),
                        key.single ? variable_of(section, key.name) : std::string()});
    }
    if (section == "discovery") {
      for (const auto& key : override_keys()) {
        result.push_back({joined("discovery.overrides.<agent>", key.name), key.form, "", std::string(key.meaning), ""});
      }
    }
    if (section == "http") {
      for (const auto& key : http_limit_keys()) {
        result.push_back({joined("http.limits", key.name), key.form, "", std::string(key.meaning), ""});
      }
    }
  });
  return result;
}

std::string config_keys_markdown() {
  std::string table = "| key | default | may be | what it means |\n|---|---|---|---|\n";
  for (const ConfigKey& key : config_keys()) {
    std::string form = key.form;
    for (std::size_t at = 0; (at = form.find('|', at)) != std::string::npos; at += 2) form.insert(at, "\\");
    const std::string value = key.default_value.empty() ? "" : "`" + key.default_value + "`";
    table += "| `" + key.path + "` | " + value + " | " + form + " | " + key.meaning + " |\n";
  }
  return table;
}

}  // namespace fleetledger
