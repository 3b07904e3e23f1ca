#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "collector/discovery/discovery.h"
#include "collector/discovery/roots.h"
#include "collector/sources/environment_source.h"
#include "core/charge.h"
#include "core/process.h"
#include "core/process_table.h"

namespace fleetledger {

/// Keeps what processes say of themselves in their environment, and says whose that makes them. So what an agent left
/// behind comes back to it after the collector was started again. Environments are read once per process, of processes
/// that nobody claims; nothing is kept of those that are gone. One thread.
class Declarations {
 public:
  explicit Declarations(Uid user) : user_(user) {}

  /// The processes of the last look whose environment is to be read now, at most `most`: nobody's, of our user, with
  /// nobody's processes above them, not asked for before. They count as asked for from now on.
  [[nodiscard]] std::vector<ProcessKey> to_read(const ProcessTable& table, const Charges& charges, std::size_t most);

  void keep(const std::vector<DeclaredProcess>& declared);

  /// Roots::declared for a look: the session that is named if it is one of the agent's with a root now, else the
  /// agent's orphans. An agent is named by its path, or, where no path is given, by an id or a name that no other has.
  /// Only metered agents count.
  [[nodiscard]] std::unordered_map<ProcessKey, Claim> claims(const Fleet& fleet, const ResolvedRoots& resolved);

  /// Whether its environment was asked for.
  [[nodiscard]] bool asked(const ProcessKey& process) const;

  /// Processes of which anything is kept.
  [[nodiscard]] std::size_t size() const { return std::max(asked_.size(), kept_.size()); }

 private:
  struct Kept {
    Declaration says;
    std::optional<std::size_t> agent;  ///< where it stands in the fleet
  };

  void match(const Fleet& fleet);

  Uid user_;
  std::vector<ProcessKey> asked_;  ///< in their order
  std::unordered_map<ProcessKey, Kept> kept_;
  std::optional<std::uint64_t> matched_;  ///< the fleet's version
};

}  // namespace fleetledger
