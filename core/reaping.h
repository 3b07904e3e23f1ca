#pragma once

#include <vector>

#include "core/charge.h"
#include "core/interval.h"
#include "core/units.h"

namespace fleetledger::charging {

/// Finds which survivors had waited for what vanished, and says how much of each survivor's newly reaped time had thus
/// been charged already. Each vanished process's last total is looked for in the reaped time of its ancestors, from
/// the nearest surviving one upward: first in what that time is read to be, then in what it may be. Where none has room
/// for it, nobody waited for it. Linear in the processes, but for sorting those that vanished.
class Reaping {
 public:
  using Unseen = Membership::Unseen;

  /// `unseen`: what unseen() said after the look before; in the order of pids.
  Reaping(const Interval& interval, const std::vector<Unseen>& unseen);

  /// What a process of `now` spent, less what had been charged before.
  [[nodiscard]] Usage usage(Index i) const;
  /// What it reaped, less what had been charged before.
  [[nodiscard]] Usage reaped(Index i) const;
  /// What was charged before and is not in the totals of this look, as far as their readings can be too small by it: it
  /// will be in those of a later one.
  [[nodiscard]] std::vector<Unseen> unseen() const;

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

  void recall(const std::vector<Unseen>& unseen);
  void find_vanished();
  bool assign_whole();
  [[nodiscard]] std::vector<Vanished> take_whole(const std::vector<Vanished>& processes);
  void assign_in_parts();
  void start_over(Usage least);
  void take(Index survivor, Usage part);
  [[nodiscard]] Usage most_growth(Index i) const;
  [[nodiscard]] Index open_from(Index j);

  const Interval& interval_;
  Usage slack_;                ///< of a growth: a difference, and both of its ends are as coarse as the readings
  std::vector<Usage> growth_;  ///< of reaped time, of each of now; with the slack, less what is recalled
  std::vector<Usage> recalled_;
  std::vector<Usage> charged_before_;
  std::vector<Vanished> vanished_;
  std::vector<Usage> room_;
  std::vector<Index> up_;
  Usage least_;
};

}  // namespace fleetledger::charging
