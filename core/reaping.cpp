#include "core/reaping.h"

#include <algorithm>
#include <tuple>

namespace fleetledger::charging {

Reaping::Reaping(const Interval& interval)
    : interval_(interval), growth_(interval.now.size()), charged_before_(interval.now.size()) {
  // A growth is a difference, and both of its ends are as coarse as the readings.
  const Usage slack{2 * interval.now.moment().cpu_resolution};
  for (Index i = 0; i < growth_.size(); ++i) {
    growth_[i] = interval.known(i) ? interval.reaped(i) + slack : Usage{};
  }
  find_vanished();
  if (!vanished_.empty() && !assign_whole()) {
    assign_in_parts();
  }
}

Usage Reaping::usage(Index i) const {
  const auto spent = interval_.spent(i);
  if (charged_before_[i] == Usage{}) {
    return spent;
  }
  const auto at_least = not_negative(interval_.own(i) - Usage{interval_.now.moment().cpu_resolution});
  return std::max(spent - charged_before_[i], at_least);
}

Usage Reaping::reaped(Index i) const { return not_negative(interval_.reaped(i) - charged_before_[i]); }

/// All that vanished and that an ancestor can have waited for: nearest to the ancestors first, larger before smaller.
void Reaping::find_vanished() {
  const auto then = interval_.before.readings();
  std::vector<Above> above(then.size());
  std::vector<Index> path;
  for (Index j = 0; j < then.size(); ++j) {
    const auto total = then[j].with_reaped - CpuTotal{};
    if (interval_.later[j] != kNone || total == Usage{}) {
      continue;
    }
    for (auto at = j; at != kNone && above[at].depth == 0; at = interval_.before_parents[at]) {
      path.push_back(at);
    }
    for (; !path.empty(); path.pop_back()) {
      const auto parent = interval_.before_parents[path.back()];
      above[path.back()] = parent == kNone
                               ? Above{1, Usage{}}
                               : Above{above[parent].depth + 1, std::max(above[parent].growth, growth_of(parent))};
    }
    if (total <= above[j].growth) {
      vanished_.push_back({j, above[j].depth, total});
    }
  }
  std::sort(vanished_.begin(), vanished_.end(), [](const Vanished& left, const Vanished& right) {
    return std::tuple(left.depth, right.total, left.at) < std::tuple(right.depth, left.total, right.at);
  });
}

Usage Reaping::growth_of(Index j) const { return interval_.later[j] == kNone ? Usage{} : growth_[interval_.later[j]]; }

/// Each to the first surviving ancestor with room for all of it. Says whether there was one for each; if not, some
/// were given the room of others.
bool Reaping::assign_whole() {
  const auto smallest =
      std::min_element(vanished_.begin(), vanished_.end(), [](const Vanished& left, const Vanished& right) {
        return left.total < right.total;
      })->total;
  start_over(smallest);
  bool all = true;
  for (const auto& process : vanished_) {
    auto j = open_from(up_[process.at]);
    while (j != kNone && room_[interval_.later[j]] < process.total) {
      j = open_from(up_[j]);
    }
    if (j != kNone) {
      take(interval_.later[j], process.total);
    }
    all = all && j != kNone;
  }
  return all;
}

/// Where it cannot be told who waited for what, as much as there is room for counts as charged before: rather too
/// little is charged then than too much.
void Reaping::assign_in_parts() {
  start_over(Usage{Micros{1}});
  for (const auto& process : vanished_) {
    auto rest = process.total;
    for (auto j = open_from(up_[process.at]); j != kNone && rest > Usage{}; j = open_from(j)) {
      const auto part = std::min(rest, room_[interval_.later[j]]);
      take(interval_.later[j], part);
      rest -= part;
    }
  }
}

void Reaping::take(Index survivor, Usage part) {
  room_[survivor] -= part;
  charged_before_[survivor] += part;
}

void Reaping::start_over(Usage least) {
  least_ = least;
  room_ = growth_;
  up_ = interval_.before_parents;
  std::fill(charged_before_.begin(), charged_before_.end(), Usage{});
}

/// The first survivor with room for the least, from j upward. Those without are left out of later walks, so that a
/// deep tree costs no more than a flat one.
Index Reaping::open_from(Index j) {
  const auto closed = [this](Index at) { return interval_.later[at] == kNone || room_[interval_.later[at]] < least_; };
  while (j != kNone && closed(j)) {
    if (up_[j] != kNone && closed(up_[j])) {
      up_[j] = up_[up_[j]];
    }
    j = up_[j];
  }
  return j;
}

}  // namespace fleetledger::charging
