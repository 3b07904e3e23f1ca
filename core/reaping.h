#pragma once

#include <vector>

#include "core/interval.h"
#include "core/units.h"

namespace fleetledger::charging {

/// Finds which survivors had waited for what vanished, and says how much of each survivor's newly reaped time had thus
/// been charged already. Each vanished process's last total is looked for in the reaped time of its ancestors, from
/// the nearest surviving one upward. Where none has room for it, nobody waited for it. Linear in the processes, but for
/// sorting those that vanished.
class Reaping {
 public:
  explicit Reaping(const Interval& interval);

  /// What a process of `now` spent, less what had been charged before.
  [[nodiscard]] Usage usage(Index i) const;
  /// What it reaped, less what had been charged before.
  [[nodiscard]] Usage reaped(Index i) const;

 private:
  struct Vanished {
    Index at;  ///< its place in `before`
    Index depth;
    Usage total;
  };
  struct Above {
    Index depth = 0;  ///< 0: not known yet
    Usage growth;     ///< the largest of all ancestors
  };

  void find_vanished();
  bool assign_whole();
  void assign_in_parts();
  void start_over(Usage least);
  void take(Index survivor, Usage part);
  [[nodiscard]] Usage growth_of(Index j) const;
  [[nodiscard]] Index open_from(Index j);

  const Interval& interval_;
  std::vector<Usage> growth_;  ///< of reaped time, of each of now
  std::vector<Usage> charged_before_;
  std::vector<Vanished> vanished_;
  std::vector<Usage> room_;
  std::vector<Index> up_;
  Usage least_;
};

}  // namespace fleetledger::charging
