#include "core/interval.h"

#include <algorithm>

namespace fleetledger::charging {

namespace {

/// The parent of each reading, or kNone. Readings come from outside and may hold circles: the link that would close
/// one is cut, so that every walk upward ends.
std::vector<Index> parents_of(const ProcessTable& table) {
  const auto readings = table.readings();
  std::vector<Pid> pids;
  pids.reserve(readings.size());
  for (const auto& reading : readings) {
    pids.push_back(reading.key.pid);
  }
  std::vector<Index> parents(readings.size(), kNone);
  for (std::size_t i = 0; i < readings.size(); ++i) {
    const auto parent = readings[i].parent;
    if (i > 0 && parent == readings[i - 1].parent) {  // children of one parent often lie together
      parents[i] = parents[i - 1];
      continue;
    }
    const auto found = std::lower_bound(pids.begin(), pids.end(), parent);
    if (found != pids.end() && *found == parent) {
      parents[i] = static_cast<Index>(found - pids.begin());
    }
  }
  std::vector<Index> walked_from(readings.size(), kNone);
  for (Index i = 0; i < parents.size(); ++i) {
    for (Index at = i; at != kNone && walked_from[at] == kNone; at = parents[at]) {
      walked_from[at] = i;
      if (parents[at] != kNone && walked_from[parents[at]] == i) {
        parents[at] = kNone;
      }
    }
  }
  return parents;
}

}  // namespace

Interval::Interval(const ProcessTable& before_look, const ProcessTable& now_look)
    : before(before_look),
      now(now_look),
      before_parents(parents_of(before)),
      now_parents(parents_of(now)),
      earlier(now.size(), kNone),
      later(before.size(), kNone) {
  const auto then = before.readings();
  const auto readings = now.readings();
  for (Index i = 0, j = 0; i < readings.size() && j < then.size();) {
    if (readings[i].key.pid < then[j].key.pid) {
      ++i;
    } else if (then[j].key.pid < readings[i].key.pid) {
      ++j;
    } else {
      // Where starts are coarse, a pid that is used again at once can come with its predecessor's key.
      const bool replaced = readings[i].with_reaped < then[j].with_reaped && started_since(readings[i]);
      if (readings[i].key == then[j].key && !replaced) {
        earlier[i] = j;
        later[j] = i;
      }
      ++i;
      ++j;
    }
  }
}

bool Interval::same_parent(Index i) const {
  const auto parent = now_parents[i];
  const auto then = before_parents[earlier[i]];
  return parent == kNone ? then == kNone : earlier[parent] == then && then != kNone;
}

Usage Interval::spent(Index i) const {
  const auto& is = now.readings()[i];
  if (!known(i)) {
    return born(i) ? is.with_reaped - CpuTotal{} : Usage{};
  }
  return not_negative(is.with_reaped - before.readings()[earlier[i]].with_reaped);
}

Usage Interval::own(Index i) const {
  const auto& is = now.readings()[i];
  if (!known(i)) {
    return born(i) ? is.own - CpuTotal{} : Usage{};
  }
  return not_negative(is.own - before.readings()[earlier[i]].own);
}

Usage Interval::reaped(Index i) const {
  const auto& is = now.readings()[i];
  const auto& was = before.readings()[earlier[i]];
  return not_negative((is.with_reaped - is.own) - (was.with_reaped - was.own));
}

Usage Interval::most_reaped(Index i) const {
  const auto& is = now.readings()[i];
  const auto& was = before.readings()[earlier[i]];
  // Own time that was read too small then, and no more, hides as much of what was reaped.
  const Usage hidden{is.doubt + was.own_doubt};
  return not_negative((is.with_reaped - is.own) - (was.with_reaped - was.own) + hidden);
}

Index Interval::place(const ProcessKey& key) const {
  const auto index = now.index_of(key.pid);
  return index && now.readings()[*index].key == key ? static_cast<Index>(*index) : kNone;
}

}  // namespace fleetledger::charging
