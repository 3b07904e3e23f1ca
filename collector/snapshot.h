#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/store_lane.h"
#include "core/agent.h"
#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

/// What the parts of an agent are added up by in metrics: they do not overlap.
enum class Role : std::uint8_t { server, sessions, orphans };
inline constexpr std::size_t kRoles = 3;
[[nodiscard]] std::string_view to_string(Role role);
[[nodiscard]] Role role_of(std::string_view source);

/// One source at the last look.
struct SourceNow {
  std::string source;
  std::string session_name;  ///< empty for server and orphans; foreign text
  Pid pid = 0;
  Usage usage;  ///< in the interval of the look
  Bytes resident;
  std::uint32_t processes = 0;
};

/// One role of an agent at the last look.
struct RoleTotals {
  Usage usage;  ///< in the interval of the look
  Bytes resident;
  std::uint32_t processes = 0;
};

struct AgentNow {
  AgentIdentity identity;
  bool metered = false;
  std::vector<SourceNow> sources;  ///< with a process or a usage at the last look: the server first, then by name
  std::array<RoleTotals, kRoles> roles;
  std::string events_problem;               ///< why its rate-limit events cannot be read; empty: they can
  std::optional<WallTime> newest_row;       ///< ts of the last row that was handed to its ledger
  std::optional<StoreLane::Health> ledger;  ///< nothing was written yet: nothing
};

/// A program that is nobody's agent: processes of one name, added up.
struct OtherProgram {
  std::string name;
  Usage usage;
  Bytes resident;
  std::uint32_t processes = 0;
};

/// Where the CPU time of the whole host went in the interval of the last look. The rows add up:
/// busy = agents + collector + other + unattributed + rounding (rounding is negative or 0: a process is not looked at
/// in the very moment in which the host's counters are).
struct HostNow {
  Micros interval{};  ///< 0 until there were two looks
  Usage busy;         ///< from the kernel's own counters, all CPUs; never more than all of them in `interval`
  Usage agents;
  Usage collector;
  Usage unattributed;
  Usage other;     ///< what is left of busy, and at least what its processes were seen to spend
  Usage rounding;  ///< what busy lacks then
  unsigned cpus = 0;
  Bytes memory_total;
  Bytes memory_available;
  Bytes collector_children;              ///< resident memory of our ps and tmux while they looked
  std::vector<OtherProgram> top_others;  ///< at most three, by usage, then by name
};

/// What the last good look said of the whole host. Immutable once published. Counters, failures and what the collector
/// itself costs are in TickReport and CollectorCounters.
struct Snapshot {
  WallTime ts{};  ///< 1970 before the first look
  std::size_t processes = 0;
  std::vector<AgentNow> agents;  ///< by id, those with a closed gate included
  HostNow host;
};

}  // namespace fleetledger
