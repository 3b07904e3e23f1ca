#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/fleet/load.h"
#include "core/process.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger::fleet {

/// What a fleet is to look like.
struct FleetOptions {
  std::string root;  ///< a folder that is absent or empty; what the fleet writes stays below it
  int agents = 3;
  int sessions = 3;                ///< of each agent
  std::vector<std::string> names;  ///< of the agents, letters, digits, `_` and `-`; those without one are agent-<n>
  std::vector<LoadSpec> loads;     ///< of the sessions, in turn; none: idle
  LoadSpec server_load;            ///< of every agent's server
  int not_development = 0;         ///< so many agents, the last ones, have no developmentAgent in their config
  int ended_files = 0;             ///< files of ended sessions in each agent
  std::optional<std::chrono::milliseconds> interval;  ///< written to the agents' configs
  std::optional<std::chrono::milliseconds> idle_interval;
  std::optional<Micros> cpu_limit;  ///< of each session; it ends when it has used this much
  std::uint64_t seed = 1;
  std::string tmux = "tmux";
  bool with_tmux = true;  ///< false: sessions are bare processes, and <root>/list-panes plays tmux
};

struct FleetSession {
  std::string id;
  std::string tmux_session;
  std::string truth;  ///< <truth>.jsonl and <truth>.account
  LoadSpec load;
  std::uint64_t seed = 0;
  Pid pane = 0;
  WallTime started{};
  std::optional<WallTime> ended;
};

struct FleetAgent {
  std::string name;
  std::string path;
  std::string server_truth;
  std::string token;
  int port = 0;
  bool development = true;
  Pid server = 0;
  std::vector<FleetSession> sessions;
};

struct Fleet {
  std::string root;
  std::string home;      ///< <root>/home: what `--home` of the collector wants
  std::string tmux_dir;  ///< <root>/tmux: the TMUX_TMPDIR of the fleet and of whoever wants to see its sessions
  std::vector<FleetAgent> agents;
  WallTime created{};
};

/// The fleet that the options describe, with nothing running. `options.root` is absolute.
Result<Fleet> plan_fleet(const FleetOptions& options);

/// Makes the folders and files of all agents; sessions are told to be running since `started`.
Result<void> write_agents(const Fleet& fleet, const FleetOptions& options);
/// One session's file, rewritten in place: running, or completed since `ended`.
Result<void> write_session(const FleetAgent& agent, const FleetSession& session);
/// The registry, by a temporary file and rename. Heartbeats are as of now; agents with server 0 are stopped.
Result<void> write_registry(const Fleet& fleet);
/// <root>/fleet.json, which says where everything is; it appears, complete, when the fleet is ready.
Result<void> write_description(const Fleet& fleet);

/// Writes a file anew in place, with mode 0600 if it is new.
Result<void> write_file(const std::string& path, const std::string& text);
/// Writes a file so that a reader sees the old or the new one, never a part.
Result<void> replace_file(const std::string& path, const std::string& text);

}  // namespace fleetledger::fleet
