#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

/// Who an agent is. The path is the key: names repeat.
struct AgentIdentity {
  std::string id;    ///< stable and URL-safe: see agent_id()
  std::string name;  ///< the registry's; foreign text
  std::string path;  ///< real and absolute

  friend bool operator==(const AgentIdentity&, const AgentIdentity&) = default;
};

/// `<name>-<8 hex digits of FNV-1a 64 of the path>`; characters of the name other than [A-Za-z0-9._-] become '-',
/// and of a name longer than 64 characters the first 64 are taken.
[[nodiscard]] std::string agent_id(std::string_view name, std::string_view path);

enum class AgentState {
  sampling,     ///< metered, and a session lives
  idle,         ///< metered, no session lives
  off,          ///< its gate is closed: not a development agent
  disabled,     ///< its ledger is switched off: `enabled: false`
  yielding,     ///< its own sampler writes the ledger, so we do not
  unreadable,   ///< its config cannot be read; the last good one stays in force
  unavailable,  ///< its ledger cannot be opened or written, or the disk of its folder does not answer
  gone,         ///< no registry names it any more
};

/// "sampling", "idle", ...: the words of the API and the tables.
[[nodiscard]] std::string_view to_string(AgentState state);

/// Where an agent's ledger is kept, for backends that know places.
enum class LedgerLocation {
  automatic,  ///< beside the agent, unless another sampler writes there
  agent,      ///< beside the agent
  central,    ///< with the collector
};
[[nodiscard]] std::string_view to_string(LedgerLocation location);

/// How an agent is metered; from our overrides, its own config, our defaults, in that order.
struct AgentSettings {
  std::chrono::milliseconds sample_interval{60'000};
  std::chrono::milliseconds idle_sample_interval{300'000};
  std::chrono::seconds retention = std::chrono::hours{7 * 24};
  LedgerLocation location = LedgerLocation::automatic;
  /// The agent's own sampler, where it is on, writes at least this often; from the agent's own config alone.
  std::chrono::milliseconds own_sampler_period{300'000};
  std::chrono::seconds event_retention = std::chrono::hours{90 * 24};  ///< of events that we recorded
  std::optional<std::chrono::seconds> upstream_event_retention{};      ///< of its server's own; nothing: kept for ever
  Bytes max_ledger_size{256LL << 20U};
  std::chrono::seconds rollup_retention = std::chrono::hours{400 * 24};  ///< of what is known of each hour

  friend bool operator==(const AgentSettings&, const AgentSettings&) = default;
};

/// The two questions of an agent's gate (instar.md, "The gate").
struct Gate {
  bool ledger = true;     ///< false: disabled
  bool sampling = false;  ///< with ledger: metered

  friend bool operator==(const Gate&, const Gate&) = default;
};

/// A live session of an agent: one session file with status starting or running.
struct Session {
  std::string id;
  std::string name;
  std::string tmux_session;
  WallTime started_at{};
  bool superseded = false;

  friend bool operator==(const Session&, const Session&) = default;
};

/// Everything that is known of an agent from its files.
struct Agent {
  AgentIdentity identity;
  std::string named_path;  ///< as the registry or our own list writes the path: it may lead through links
  Gate gate;
  AgentSettings settings;
  std::optional<Pid> server_pid;           ///< what the registry claims; not yet proven to be its process
  std::optional<WallTime> last_heartbeat;  ///< the registry's
  std::vector<Session> live_sessions;      ///< of a metered agent, in the order of their ids
  std::string tmux_path;  ///< the tmux that its config suggests; foreign: run only if it can be trusted
  bool config_readable = true;
  std::optional<WallTime> silent_since;  ///< its folder's disk does not answer: what was known of it stays in force
  std::string reason;                    ///< why the gate is as it is, or why its files cannot be read, in plain words
  std::vector<std::string> remarks;      ///< what `check` tells besides: raised periods, skipped files, refused claims

  /// sampling, idle, off, disabled, unreadable or unavailable: what the files alone say.
  [[nodiscard]] AgentState state() const;
  /// Whether its processes are measured: its gate is open.
  [[nodiscard]] bool metered() const { return gate.ledger && gate.sampling; }

  friend bool operator==(const Agent&, const Agent&) = default;
};

}  // namespace fleetledger
