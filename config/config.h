#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/http_config.h"
#include "core/agent.h"
#include "core/charge.h"

namespace fleetledger {

// The YAML configuration as checked values; every default stands here and nowhere else.
// How it is read: config/parse_config.h. What each key means: config/fleetledger.example.yaml.

/// What the operator says of one agent; what is absent comes from the agent's own config.
struct AgentOverride {
  std::optional<bool> enabled;
  std::optional<std::chrono::milliseconds> sample_interval;
  std::optional<std::chrono::milliseconds> idle_sample_interval;
  std::optional<std::chrono::seconds> retention;
  std::optional<LedgerLocation> location;

  friend bool operator==(const AgentOverride&, const AgentOverride&) = default;
};

struct DiscoveryConfig {
  std::vector<std::string> homes{"~"};             ///< globs; "~" not yet expanded
  std::vector<std::string> agents;                 ///< paths of agents that no registry lists
  std::vector<std::string> exclude;                ///< names, ids or paths
  std::map<std::string, AgentOverride> overrides;  ///< by name, id or path

  friend bool operator==(const DiscoveryConfig&, const DiscoveryConfig&) = default;
};

/// How processes are seen.
enum class ProcessSourceKind {
  ps,      ///< by running ps: on every host
  procfs,  ///< by reading /proc: Linux alone, cheaper, and good to 10 ms at any age of a process
};

struct SamplingConfig {
  ProcessSourceKind source = ProcessSourceKind::ps;
  Scope scope = Scope::tree;
  std::chrono::milliseconds sample_interval{60'000};  ///< at least 1 s
  std::chrono::milliseconds idle_sample_interval{300'000};
  std::string ps = "ps";  ///< a path, or a name to look up
  std::string tmux = "tmux";
  std::chrono::milliseconds timeout{5'000};
  bool heap = true;  ///< ask agents' servers for it

  friend bool operator==(const SamplingConfig&, const SamplingConfig&) = default;
};

struct StorageConfig {
  std::string backend = "sqlite";
  LedgerLocation location = LedgerLocation::automatic;
  std::string directory = "<state>/ledgers";  ///< for central ledgers; "~" and "<state>" not yet expanded
  std::chrono::seconds retention = std::chrono::hours{7 * 24};
  std::chrono::seconds event_retention = std::chrono::hours{90 * 24};
  std::optional<std::chrono::seconds> upstream_event_retention{};  ///< nothing: never
  std::chrono::seconds rollup_retention = std::chrono::hours{400 * 24};
  Bytes max_size{256LL << 20U};  ///< of one ledger

  friend bool operator==(const StorageConfig&, const StorageConfig&) = default;
};

enum class LogLevel { debug, info, warning, error };

struct LogConfig {
  LogLevel level = LogLevel::info;

  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct Config {
  DiscoveryConfig discovery;
  SamplingConfig sampling;
  StorageConfig storage;
  HttpConfig http;
  LogConfig log;

  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace fleetledger
