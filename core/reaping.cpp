#include "core/reaping.h"

#include <algorithm>
#include <tuple>

namespace fleetledger::charging {

Reaping::Reaping(const Interval& interval, const std::vector<Unseen>& unseen, const std::vector<Lost>& lost)
    : interval_(interval),
      slack_(2 * interval.now.moment().cpu_resolution),
      growth_(interval.now.size()),
      charged_before_(interval.now.size()) {
  recall(unseen);
  for (Index i = 0; i < growth_.size(); ++i) {
    growth_[i] = interval.known(i) ? not_negative(interval.reaped(i) + slack_ - charged_before_[i]) : Usage{};
  }
  find_vanished(lost);
  if (!vanished_.empty()) {
    assign();
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
  for (const auto& [key, rest] : unseen) {
    while (i < readings.size() && readings[i].key.pid < key.pid) {
      ++i;
    }
    if (i < readings.size() && readings[i].key == key && interval_.known(i)) {
      charged_before_[i] = rest;
    }
  }
}

/// All that vanished and that an ancestor can have waited for: nearest to the ancestors first, larger before smaller.
void Reaping::find_vanished(const std::vector<Lost>& lost) {
  const auto then = interval_.before.readings();
  above_.resize(then.size());
  for (Index j = 0; j < then.size(); ++j) {
    if (interval_.later[j] == kNone) {
      add_vanished(interval_.before_parents[j], then[j].with_reaped - CpuTotal{}, false);
    }
  }
  for (const auto& process : lost) {
    const auto place = interval_.before.index_of(process.above.pid);
    if (place && then[*place].key == process.above) {
      add_vanished(static_cast<Index>(*place), process.charged, true);
    }
  }
  std::stable_sort(vanished_.begin(), vanished_.end(), [](const Vanished& left, const Vanished& right) {
    return std::tuple(left.depth, right.total) < std::tuple(right.depth, left.total);
  });
}

void Reaping::add_vanished(Index parent, Usage total, bool again) {
  if (parent == kNone || total == Usage{}) {
    return;
  }
  const auto [depth, most] = above(parent);
  const Vanished process{parent, depth + 1, total, again};
  if (total <= std::max(most, most_growth(parent))) {
    vanished_.push_back(process);
  } else {
    lose(process, total);
  }
}

const Reaping::Above& Reaping::above(Index j) {
  for (auto at = j; at != kNone && above_[at].depth == 0; at = interval_.before_parents[at]) {
    path_.push_back(at);
  }
  for (; !path_.empty(); path_.pop_back()) {
    const auto parent = interval_.before_parents[path_.back()];
    above_[path_.back()] =
        parent == kNone ? Above{1, Usage{}}
                        : Above{above_[parent].depth + 1, std::max(above_[parent].most_growth, most_growth(parent))};
  }
  return above_[j];
}

/// The most that one of before can have reaped since.
Usage Reaping::most_growth(Index j) const {
  const auto i = interval_.later[j];
  return i == kNone ? Usage{} : interval_.most_reaped(i) + slack_;
}

void Reaping::assign() {
  const auto smallest =
      std::min_element(vanished_.begin(), vanished_.end(), [](const Vanished& left, const Vanished& right) {
        return left.total < right.total;
      })->total;
  room_ = growth_;
  open_all(smallest);
  auto left = take_whole(vanished_);
  if (left.empty()) {
    return;
  }
  // What is recalled may be another's: where that was wrong it must not keep a whole life from being found.
  for (Index j = 0; j < interval_.later.size(); ++j) {
    if (const auto i = interval_.later[j]; i != kNone) {
      room_[i] += most_growth(j) - growth_[i];
    }
  }
  open_all(smallest);
  left = take_whole(left);
  if (!left.empty()) {
    open_all(Usage{Micros{1}});
    take_in_parts(left);
  }
}

/// Each to the first surviving ancestor with room for all of it. Those that there was none for.
std::vector<Reaping::Vanished> Reaping::take_whole(const std::vector<Vanished>& processes) {
  std::vector<Vanished> left;
  for (const auto& process : processes) {
    auto j = open_from(process.above);
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

/// Where it cannot be told who waited for what, as much as there is room for counts as charged before.
void Reaping::take_in_parts(const std::vector<Vanished>& processes) {
  for (const auto& process : processes) {
    auto rest = process.total;
    for (auto j = open_from(process.above); j != kNone && rest > Usage{}; j = open_from(j)) {
      const auto part = std::min(rest, room_[interval_.later[j]]);
      take(interval_.later[j], part);
      rest -= part;
    }
    lose(process, rest);
  }
}

void Reaping::lose(const Vanished& process, Usage rest) {
  auto j = process.above;
  while (j != kNone && interval_.later[j] == kNone) {
    j = interval_.before_parents[j];
  }
  if (!process.again && j != kNone && rest > slack_) {
    lost_.push_back({interval_.now.readings()[interval_.later[j]].key, rest});
  }
}

void Reaping::take(Index survivor, Usage part) {
  room_[survivor] -= part;
  charged_before_[survivor] += part;
}

void Reaping::open_all(Usage least) {
  least_ = least;
  up_ = interval_.before_parents;
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
