#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/process_table.h"
#include "core/units.h"

/// The parts of charge() (core/charge.h); of use to nobody else.
namespace fleetledger::charging {

/// Where a process stands in the readings of its table.
using Index = std::uint32_t;
inline constexpr Index kNone = std::numeric_limits<Index>::max();

inline Usage not_negative(Usage usage) { return usage < Usage{} ? Usage{} : usage; }

/// Two looks, and which process of one is which of the other. The tables must outlive it.
struct Interval {
  Interval(const ProcessTable& before_look, const ProcessTable& now_look);

  /// Whether there was no look before.
  [[nodiscard]] bool first() const { return before.size() == 0; }
  /// Whether a process of `now` was there at the last look.
  [[nodiscard]] bool known(Index i) const { return earlier[i] != kNone; }
  /// Whether it started since.
  [[nodiscard]] bool born(Index i) const { return !first() && !known(i) && started_since(now.readings()[i]); }
  /// Whether a known process has the parent that it had.
  [[nodiscard]] bool same_parent(Index i) const;
  /// What a process spent, with its newly reaped children's time; nothing where it is not known since when.
  [[nodiscard]] Usage spent(Index i) const;
  /// The part of it that is its own.
  [[nodiscard]] Usage own(Index i) const;
  /// What a known process newly reaped.
  [[nodiscard]] Usage reaped(Index i) const;
  /// The most that this can be, by the doubt of the readings; the resolution not counted.
  [[nodiscard]] Usage most_reaped(Index i) const;
  /// Where the process with this key stands in `now`, or kNone.
  [[nodiscard]] Index place(const ProcessKey& key) const;

  const ProcessTable& before;
  const ProcessTable& now;
  std::vector<Index> before_parents;  ///< for each of before: its parent there, or kNone; without circles
  std::vector<Index> now_parents;     ///< likewise of now
  std::vector<Index> earlier;         ///< for each of now: where it stood before, or kNone
  std::vector<Index> later;           ///< for each of before: where it stands now; kNone: it vanished

 private:
  [[nodiscard]] bool started_since(const ProcessReading& reading) const {
    return reading.key.start + now.moment().start_slack >= before.moment().boot;
  }
};

}  // namespace fleetledger::charging
