#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collector/discovery/discovery.h"
#include "collector/sources/pane_source.h"
#include "core/charge.h"
#include "core/process.h"
#include "core/process_table.h"
#include "core/units.h"

namespace fleetledger {

/// The name behind a claim, for a source that has a living root.
struct NamedRoot {
  Claim claim;
  std::size_t agent = 0;     ///< where it stands in fleet.agents
  std::string source;        ///< agent-server, or session:<id>
  Pid pid = 0;               ///< its root; of several panes the first
  std::string session_name;  ///< empty for a server
};

/// A metered agent, whether it has a root now or not.
struct MeteredAgent {
  std::uint32_t number = 0;  ///< Claim::agent of all that is its
  std::size_t agent = 0;     ///< where it stands in fleet.agents
};

struct ResolvedRoots {
  Roots roots;
  std::vector<MeteredAgent> metered;                         ///< all of them, in the fleet's order
  std::vector<NamedRoot> named;                              ///< each source once, by claim
  std::vector<std::pair<std::string, std::string>> remarks;  ///< agent's id, and what was refused it and why
};

/// Says which processes stand for which sources of the metered agents, at each good look.
///
/// Claims: an agent keeps its number while it is in the fleet; a session while it is in the fleet as a live one; a
/// server while it is the same process. No number is given twice. Nothing is remembered of what is not there any more:
/// who still needs the name of an old claim keeps it.
/// One thread.
class RootResolver {
 public:
  explicit RootResolver(Uid user);
  ~RootResolver();
  RootResolver(const RootResolver&) = delete;
  RootResolver& operator=(const RootResolver&) = delete;

  /// `panes`: the last good list. `now`: the wall clock at the table's moment, to place process starts beside the
  /// registry's heartbeats. A pane counts if its process is a child of its tmux server, or did so before and lives.
  [[nodiscard]] ResolvedRoots resolve(const Fleet& fleet, const std::vector<Pane>& panes, const ProcessTable& table,
                                      WallTime now);

  /// Whether it would say what it last said, of the same fleet and panes and this table. Costs a tenth of saying it.
  [[nodiscard]] bool still_holds(const ProcessTable& table) const;

 private:
  class Impl;

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
