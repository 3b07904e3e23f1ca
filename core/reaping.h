#pragma once

#include <utility>
#include <vector>

#include "core/charge.h"
#include "core/interval.h"
#include "core/units.h"

namespace fleetledger::charging {

/// Finds which survivors had waited for what vanished, and says how much of each survivor's newly reaped time had thus
/// been charged already. Each vanished process's last total is looked for in the reaped time of its ancestors, from
/// the nearest surviving one upward: first in what that time is read to be, then in what it may be, at last in parts:
/// rather too little is charged then than too much. Where there is no room for it, it is looked for once more at the
/// next look; then nobody waited for it. Of usual trees linear in the processes, but for sorting those that vanished.
class Reaping {
 public:
  using Unseen = Membership::Unseen;
  using Lost = Membership::Lost;

  /// `unseen` and `lost`: what unseen() and take_lost() said after the look before; `unseen` in the order of pids.
  Reaping(const Interval& interval, const std::vector<Unseen>& unseen, const std::vector<Lost>& lost);

  /// What a process of `now` spent, less what had been charged before.
  [[nodiscard]] Usage usage(Index i) const;
  /// What it reaped, less what had been charged before.
  [[nodiscard]] Usage reaped(Index i) const;
  /// What was charged before and is not in the totals of this look, as far as their readings can be too small by it: it
  /// will be in those of a later one.
  [[nodiscard]] std::vector<Unseen> unseen() const;
  /// What of this look's vanished processes was not found. To be called once.
  [[nodiscard]] std::vector<Lost> take_lost() { return std::move(lost_); }

 private:
  struct Vanished {
    Index above;  ///< its parent's place in `before`
    Index depth;
    Usage total;
    bool again;  ///< it was not found at the last look
  };
  struct Above {
    Index depth = 0;    ///< 0: not known yet
    Usage most_growth;  ///< the largest of all ancestors
  };

  void recall(const std::vector<Unseen>& unseen);
  void find_vanished(const std::vector<Lost>& lost);
  void add_vanished(Index above, Usage total, bool again);
  [[nodiscard]] const Above& above(Index j);
  void assign();
  [[nodiscard]] std::vector<Vanished> take_whole(const std::vector<Vanished>& processes);
  void take_in_parts(const std::vector<Vanished>& processes);
  void lose(const Vanished& process, Usage rest);
  void open_all(Usage least);
  void take(Index survivor, Usage part);
  [[nodiscard]] Usage most_growth(Index j) const;
  [[nodiscard]] Index open_from(Index j);

  const Interval& interval_;
  Usage slack_;                ///< of a growth: a difference, and both of its ends are as coarse as the readings
  std::vector<Usage> growth_;  ///< of reaped time, of each of now; with the slack, less what is recalled
  std::vector<Usage> charged_before_;
  std::vector<Above> above_;  ///< of each of before
  std::vector<Vanished> vanished_;
  std::vector<Usage> room_;
  std::vector<Index> up_;
  std::vector<Index> path_;
  std::vector<Lost> lost_;
  Usage least_;
};

}  // namespace fleetledger::charging
