#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

/// One look at the host: every process that was there, by pid. Immutable once made.
class ProcessTable {
 public:
  struct Moment {
    MonotonicTime taken;    ///< intervals between looks are differences of this
    BootTime boot;          ///< the same moment on the time line of process starts
    Micros cpu_resolution;  ///< how coarse the CPU totals of this source are (ps: a fraction of 1 s; /proc: 10 ms)
    Micros start_slack;     ///< how far a start may be off: 2 s with ps, 0 with /proc
  };

  ProcessTable() = default;
  /// Takes readings in any order; of two with one pid the later one in the list stays.
  ProcessTable(Moment moment, std::vector<ProcessReading> readings);

  [[nodiscard]] const Moment& moment() const { return moment_; }
  /// All readings, in the order of their pids.
  [[nodiscard]] std::span<const ProcessReading> readings() const { return readings_; }
  [[nodiscard]] std::size_t size() const { return readings_.size(); }

  /// Where the process with this pid stands in readings(); nothing if there was none.
  [[nodiscard]] std::optional<std::size_t> index_of(Pid pid) const;
  /// nullptr if there was none.
  [[nodiscard]] const ProcessReading* find(Pid pid) const;
  /// nullptr if there was none, or if the pid is another process by now.
  [[nodiscard]] const ProcessReading* find(const ProcessKey& key) const;

 private:
  Moment moment_{};
  std::vector<ProcessReading> readings_;
};

}  // namespace fleetledger
