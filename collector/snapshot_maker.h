#pragma once

#include <optional>

#include "collector/discovery/discovery.h"
#include "collector/discovery/roots.h"
#include "collector/host_reading.h"
#include "collector/meter.h"
#include "collector/snapshot.h"

namespace fleetledger {

/// Makes snapshots out of looks; remembers of the last one what the host's counters were. One thread; reads no clock.
class SnapshotMaker {
 public:
  /// After each look of `meter`, which was charged by `resolved`. `host` was read at `read`, a little later. Leaves
  /// ledger and newest row of the agents, and the snapshot's ts, to the caller.
  [[nodiscard]] Snapshot make(const Fleet& fleet, const ResolvedRoots& resolved, const Meter& meter,
                              const HostReading& host, MonotonicTime read);

 private:
  struct Before {
    HostReading host;
    MonotonicTime read;
    MonotonicTime look;
  };

  [[nodiscard]] HostNow host_now(const Meter& meter, const Before& at, Usage agents, std::optional<Pid> self);

  std::optional<Before> before_;
};

}  // namespace fleetledger
