#include "core/reaping.h"

#include <algorithm>
#include <tuple>

namespace fleetledger::charging {

Reaping::Reaping(const Interval& interval, const std::vector<Unseen>& unseen)
    : interval_(interval),
      slack_(2 * interval.now.moment().cpu_resolution),
      growth_(interval.now.size()),
      recalled_(interval.now.size()) {
  recall(unseen);
  for (Index i = 0; i < growth_.size(); ++i) {
    growth_[i] = interval.known(i) ? not_negative(interval.reaped(i) + slack_ - recalled_[i]) : Usage{};
  }
  charged_before_ = recalled_;
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

std::vector<Membership::Unseen> Reaping::unseen() const {
  std::vector<Unseen> left;
  const auto readings = interval_.now.readings();
  for (Index i = 0; i < charged_before_.size(); ++i) {
    if (charged_before_[i] == Usage{}) {
      continue;
    }
    const auto taken_off = interval_.spent(i) - usage(i);
    const auto rest = std::min(charged_before_[i] - taken_off, slack_ + Usage{readings[i].doubt});
    if (rest > Usage{}) {
      left.push_back({readings[i].key, rest});
    }
  }
  return left;
}

void Reaping::recall(const std::vector<Unseen>& unseen) {
  const auto readings = interval_.now.readings();
  Index i = 0;
  for (const auto& [key, charged] : unseen) {
    while (i < readings.size() && readings[i].key.pid < key.pid) {
      ++i;
    }
    if (i < readings.size() && readings[i].key == key && interval_.known(i)) {
      recalled_[i] = charged;
    }
  }
}

/// All that vanished and that an ancestor can have waited for: nearest to the ancestors first, larger before smaller.
void Reaping::find_vanished() {
  const auto then = interval_.before.readings();
  const auto most_growth_of = [this](Index j) {
    return interval_.later[j] == kNone ? Usage{} : most_growth(interval_.later[j]);
  };
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
                               : Above{above[parent].depth + 1, std::max(above[parent].growth, most_growth_of(parent))};
    }
    if (total <= above[j].growth) {
      vanished_.push_back({j, above[j].depth, total});
    }
  }
  std::sort(vanished_.begin(), vanished_.end(), [](const Vanished& left, const Vanished& right) {
    return std::tuple(left.depth, right.total, left.at) < std::tuple(right.depth, left.total, right.at);
  });
}

Usage Reaping::most_growth(Index i) const {
  return interval_.known(i) ? interval_.reaped(i) + slack_ + Usage{interval_.now.readings()[i].doubt} : Usage{};
}

/// Each to the first surviving ancestor with room for all of it. Says whether there was one for each; if not, some
/// were given the room of others.
bool Reaping::assign_whole() {
  const auto smallest =
      std::min_element(vanished_.begin(), vanished_.end(), [](const Vanished& left, const Vanished& right) {
        return left.total < right.total;
      })->total;
  start_over(smallest);
  const auto left = take_whole(vanished_);
  if (left.empty()) {
    return true;
  }
  // What is recalled may be another's: where that was wrong it must not keep a whole life from being found.
  for (Index i = 0; i < room_.size(); ++i) {
    room_[i] += most_growth(i) - growth_[i];
  }
  up_ = interval_.before_parents;
  return take_whole(left).empty();
}

/// Those that there was no room for.
std::vector<Reaping::Vanished> Reaping::take_whole(const std::vector<Vanished>& processes) {
  std::vector<Vanished> left;
  for (const auto& process : processes) {
    auto j = open_from(up_[process.at]);
    while (j != kNone && room_[interval_.later[j]] < process.total) {
      j = open_from(up_[j]);
    }
    if (j != kNone) {
      take(interval_.later[j], process.total);
    } else {
      left.push_back(process);
    }
  }
  return left;
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
  charged_before_ = recalled_;
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
