#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/process.h"
#include "core/process_table.h"
#include "core/units.h"

namespace fleetledger {

/// Whose a process is. Numbers, so that a hundred thousand processes can be charged without touching a string;
/// who hands them out (collector/discovery) knows the names. Never used again for another agent or source.
struct Claim {
  std::uint32_t agent = 0;
  std::uint32_t source = 0;  ///< one per (agent, source, incarnation): a replaced server is a new source

  friend constexpr auto operator<=>(const Claim&, const Claim&) = default;
};

/// The source number of every agent's orphans: processes that remember a source whose last root is gone.
inline constexpr std::uint32_t kOrphans = 0;

/// The processes that stand for something at one look.
struct Roots {
  std::unordered_map<ProcessKey, Claim> claims;  ///< agents' servers and sessions' panes; at most one claim a process
  /// What processes say of themselves in their environment. It counts for those that are nobody's otherwise, and only
  /// with Scope::tree: it takes no process away from anybody.
  std::unordered_map<ProcessKey, Claim> declared;
  std::vector<ProcessKey> tmux_servers;  ///< nobody's, unless they are claimed themselves
  std::optional<Pid> collector;          ///< ourselves
};

enum class Scope : std::uint8_t {
  tree,     ///< a root and everything it started (the default)
  process,  ///< the roots alone
};

/// Why a process is charged where it is.
enum class Attribution : std::uint8_t {
  nobody,       ///< no agent's: it counts as "everything else"
  collector,    ///< ours, and our children
  root,         ///< it is a root itself
  parent,       ///< its parent's source
  remembered,   ///< the source that it had before its parent changed
  environment,  ///< what its environment says
};
/// "nobody", "collector", ...: the words of the API.
[[nodiscard]] std::string_view to_string(Attribution why);

/// Whether it is what a tmux server calls itself. One that is started by an agent serves all of them: whatever its
/// environment says, it hands nothing down.
[[nodiscard]] bool is_named_tmux_server(const ProcessReading& reading);

/// Whether it is the manager of a user's services: it starts what anybody asks for, so it hands nothing down either.
[[nodiscard]] bool is_service_manager(const ProcessReading& reading);

struct ProcessCharge {
  Attribution why = Attribution::nobody;
  Claim claim;  ///< meaningful for all but nobody and collector
  Usage usage;  ///< since the look before
};

/// What one source is charged for one interval.
struct SourceCharge {
  Claim claim;
  Usage usage;
  Bytes resident;               ///< summed over its processes at this look
  std::uint32_t processes = 0;  ///< at this look, zombies included
};

struct Charges {
  std::vector<SourceCharge> sources;     ///< each source with a process or a usage, once, in the order of claims
  std::vector<ProcessCharge> processes;  ///< one for each of now.readings(), in its order
  Usage collector;                       ///< ours, and our children's
  Usage unattributed;                    ///< spent by what vanished from several sources at once: whose is unknown
};

/// What is remembered from look to look. Never holds more than an entry of each kind for each living process, and one
/// for each that vanished since the last look.
class Membership {
 public:
  struct Member {
    ProcessKey key;
    Claim claim;
    bool owned = true;      ///< false: nobody's, adopted by a parent that has a source; kept so that it stays nobody's
    bool adopted = false;   ///< its parent changed: it no longer follows its parent
    bool orphaned = false;  ///< its source had no root at the last look: it was charged to the agent's orphans
  };
  /// A process that waited for children whose time had been charged, and how much of that its total, as coarse as it is
  /// read, does not show yet.
  struct Unseen {
    ProcessKey key;
    Usage rest;
  };
  /// What was charged of a process that vanished and that no total shows: who waited for it may have been looked at
  /// before it did. That will show at the next look, or never.
  struct Lost {
    ProcessKey above;  ///< its nearest ancestor that is there
    Usage charged;
  };

  /// How many living processes have a source.
  [[nodiscard]] std::size_t size() const { return owned_; }
  /// The remembered source, also when its root is gone by now; nothing for a process of nobody's.
  [[nodiscard]] std::optional<Claim> find(const ProcessKey& key) const;

 private:
  friend Charges charge(const ProcessTable&, const ProcessTable&, const Roots&, Membership&, Scope);

  std::vector<Member> members_;  ///< in the order of their pids
  std::vector<Unseen> unseen_;   ///< likewise
  std::vector<Lost> lost_;
  std::size_t owned_ = 0;
};

/// Says whose each process of `now` is and charges each source with what its processes spent since `before`,
/// so that the CPU time of children that came and went is counted once and only once. Updates `membership` to `now`.
/// With an empty `before` everything is a baseline and nothing is charged.
/// No usage is ever negative. Pure: no clock, no I/O; any thread.
[[nodiscard]] Charges charge(const ProcessTable& before, const ProcessTable& now, const Roots& roots,
                             Membership& membership, Scope scope = Scope::tree);

}  // namespace fleetledger
