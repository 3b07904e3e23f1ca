#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>

#include "collector/discovery/discovery.h"
#include "collector/discovery/roots.h"
#include "collector/host_reading.h"
#include "collector/meter.h"
#include "collector/snapshot.h"

namespace fleetledger {

/// Makes snapshots out of looks, and keeps the counters that run through all of them: CPU time per agent and role,
/// for as long as an agent is in the fleet. One thread; reads no clock.
class SnapshotMaker {
 public:
  /// After each look of `meter`. `host` was read at the same time. Leaves status, ledger and newest row of the agents,
  /// and the snapshot's ts, to the caller.
  [[nodiscard]] Snapshot make(const Fleet& fleet, const ResolvedRoots& resolved, const Meter& meter,
                              const HostReading& host);

 private:
  [[nodiscard]] HostNow host_now(const Meter& meter, const HostReading& host, Usage agents);

  struct Before {
    HostReading host;
    MonotonicTime taken;
  };

  std::map<std::string, std::array<Usage, kRoles>> totals_;  ///< by agent id
  std::optional<Before> before_;
};

}  // namespace fleetledger
