#include "core/charge.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <tuple>
#include <utility>

namespace fleetledger {

namespace {

/// Where a process stands in the readings of its table.
using Index = std::uint32_t;
constexpr Index kNone = std::numeric_limits<Index>::max();

constexpr Pid kInit = 1;
constexpr std::array<std::string_view, 5> kServiceManagers{"systemd", "launchd", "dinit", "runsvdir", "s6-svscan"};

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

Usage not_negative(Usage usage) { return std::max(usage, Usage{}); }

/// Two looks, and which process of one is which of the other.
struct Interval {
  Interval(const ProcessTable& before_look, const ProcessTable& now_look)
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

  [[nodiscard]] bool first() const { return before.size() == 0; }
  [[nodiscard]] bool started_since(const ProcessReading& reading) const {
    return reading.key.start + now.moment().start_slack >= before.moment().boot;
  }
  [[nodiscard]] bool known(Index i) const { return earlier[i] != kNone; }
  [[nodiscard]] bool born(Index i) const { return !first() && !known(i) && started_since(now.readings()[i]); }
  /// Whether a known process has the parent that it had.
  [[nodiscard]] bool same_parent(Index i) const {
    const auto parent = now_parents[i];
    const auto then = before_parents[earlier[i]];
    return parent == kNone ? then == kNone : earlier[parent] == then && then != kNone;
  }
  /// What a known process has reaped since.
  [[nodiscard]] Usage reaped(Index i) const {
    const auto& is = now.readings()[i];
    const auto& was = before.readings()[earlier[i]];
    return not_negative((is.with_reaped - is.own) - (was.with_reaped - was.own));
  }

  const ProcessTable& before;
  const ProcessTable& now;
  std::vector<Index> before_parents;
  std::vector<Index> now_parents;
  std::vector<Index> earlier;  ///< for each of now: where it stood before
  std::vector<Index> later;    ///< for each of before: where it stands now; kNone: it vanished
};

/// Finds which survivors had waited for what vanished, and says how much of each survivor's newly reaped time had thus
/// been charged already.
class Reaping {
 public:
  explicit Reaping(const Interval& interval)
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

  /// By a process's place in `now`.
  [[nodiscard]] Usage charged_before(Index i) const { return charged_before_[i]; }

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

  /// All that vanished and that an ancestor can have waited for: nearest to the ancestors first, larger before smaller.
  void find_vanished() {
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

  [[nodiscard]] Usage growth_of(Index j) const {
    return interval_.later[j] == kNone ? Usage{} : growth_[interval_.later[j]];
  }

  /// Each to the first surviving ancestor with room for all of it. Says whether there was one for each; if not, some
  /// were given the room of others.
  bool assign_whole() {
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
  void assign_in_parts() {
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

  void take(Index survivor, Usage part) {
    room_[survivor] -= part;
    charged_before_[survivor] += part;
  }

  void start_over(Usage least) {
    least_ = least;
    room_ = growth_;
    up_ = interval_.before_parents;
    std::fill(charged_before_.begin(), charged_before_.end(), Usage{});
  }

  /// The first survivor with room for the least, from j upward. Those without are left out of later walks, so that a
  /// deep tree costs no more than a flat one.
  [[nodiscard]] Index open_from(Index j) {
    const auto closed = [this](Index at) {
      return interval_.later[at] == kNone || room_[interval_.later[at]] < least_;
    };
    while (j != kNone && closed(j)) {
      if (up_[j] != kNone && closed(up_[j])) {
        up_[j] = up_[up_[j]];
      }
      j = up_[j];
    }
    return j;
  }

  const Interval& interval_;
  std::vector<Usage> growth_;  ///< of reaped time, of each of now
  std::vector<Usage> charged_before_;
  std::vector<Vanished> vanished_;
  std::vector<Usage> room_;
  std::vector<Index> up_;
  Usage least_;
};

/// What a process of `now` spent, its newly reaped children's time included, less what had been charged of those.
Usage usage_of(const Interval& interval, Index i, Usage assigned) {
  const auto& is = interval.now.readings()[i];
  if (!interval.known(i)) {
    return interval.born(i) ? is.with_reaped - CpuTotal{} : Usage{};
  }
  const auto& was = interval.before.readings()[interval.earlier[i]];
  const auto grown = not_negative(is.with_reaped - was.with_reaped);
  if (assigned == Usage{}) {
    return grown;
  }
  const auto at_least = not_negative(is.own - was.own - Usage{interval.now.moment().cpu_resolution});
  return std::max(grown - assigned, at_least);
}

Usage own_usage_of(const Interval& interval, Index i) {
  const auto& is = interval.now.readings()[i];
  if (!interval.known(i)) {
    return interval.born(i) ? is.own - CpuTotal{} : Usage{};
  }
  return not_negative(is.own - interval.before.readings()[interval.earlier[i]].own);
}

struct Owner {
  Attribution why = Attribution::nobody;
  Claim claim;           ///< as remembered: its root may be gone
  Index source = kNone;  ///< the claim's place among the live sources
  bool settled = false;
  bool adopted = false;  ///< its parent changed, now or earlier

  [[nodiscard]] bool none() const { return why == Attribution::nobody; }
  [[nodiscard]] bool has_claim() const { return why != Attribution::nobody && why != Attribution::collector; }
};

using Member = Membership::Member;

const Member* find_member(const std::vector<Member>& members, const ProcessKey& key) {
  const auto found = std::lower_bound(members.begin(), members.end(), key.pid,
                                      [](const Member& member, Pid pid) { return member.key.pid < pid; });
  return found != members.end() && found->key == key ? &*found : nullptr;
}

/// Whose each process of `now` is.
class Ownership {
 public:
  Ownership(const Interval& interval, const Roots& roots, const std::vector<Member>& members, Scope scope)
      : interval_(interval),
        scope_(scope),
        members_(members),
        member_(interval.now.size(), kNone),
        owners_(interval.now.size()) {
    recall();
    settle_roots(roots);
    for (Index i = 0; i < owners_.size(); ++i) {
      settle(i);
    }
  }

  [[nodiscard]] const Owner& operator[](Index i) const { return owners_[i]; }
  /// The sources with a root at this look, in their order.
  [[nodiscard]] const std::vector<Claim>& live_sources() const { return live_sources_; }
  /// Nobody's, but with a parent that has an owner and that it was not born to.
  [[nodiscard]] bool stray(Index i) const {
    const auto parent = interval_.now_parents[i];
    return owners_[i].none() && owners_[i].adopted && parent != kNone && !owners_[parent].none();
  }

 private:
  /// What was remembered of each process.
  void recall() {
    const auto readings = interval_.now.readings();
    for (Index i = 0, m = 0; i < readings.size() && m < members_.size();) {
      if (readings[i].key.pid < members_[m].key.pid) {
        ++i;
      } else {
        if (readings[i].key == members_[m].key && (interval_.known(i) || interval_.first())) {
          member_[i] = m;
          owners_[i].adopted = members_[m].adopted;
        }
        ++m;
      }
    }
    for (Index i = 0; i < readings.size(); ++i) {
      owners_[i].adopted = owners_[i].adopted || (interval_.known(i) && !interval_.same_parent(i));
    }
  }

  /// Those who do not look to their parents: ourselves, roots, and what hands nothing down.
  void settle_roots(const Roots& roots) {
    const auto place = [this](const ProcessKey& key) {
      const auto index = interval_.now.index_of(key.pid);
      return index && interval_.now.readings()[*index].key == key ? static_cast<Index>(*index) : kNone;
    };
    const auto collector = roots.collector ? interval_.now.index_of(*roots.collector) : std::nullopt;
    if (collector) {
      owners_[*collector].why = Attribution::collector;
      owners_[*collector].settled = true;
    }
    for (const auto& [key, claim] : roots.claims) {
      const auto i = place(key);
      if (i != kNone && !owners_[i].settled) {
        owners_[i].why = Attribution::root;
        owners_[i].claim = claim;
        owners_[i].settled = true;
        live_sources_.push_back(claim);
      }
    }
    std::sort(live_sources_.begin(), live_sources_.end());
    live_sources_.erase(std::unique(live_sources_.begin(), live_sources_.end()), live_sources_.end());
    for (const auto& [key, claim] : roots.claims) {
      const auto i = place(key);
      if (i != kNone && owners_[i].why == Attribution::root) {
        owners_[i].source = live_source(claim);
      }
    }
    for (const auto& key : roots.tmux_servers) {
      const auto i = place(key);
      if (i != kNone) {
        owners_[i].settled = true;
      }
    }
    if (const auto init = interval_.now.index_of(kInit)) {
      owners_[*init].settled = true;
    }
  }

  [[nodiscard]] Index live_source(const Claim& claim) const {
    const auto found = std::lower_bound(live_sources_.begin(), live_sources_.end(), claim);
    return found != live_sources_.end() && *found == claim ? static_cast<Index>(found - live_sources_.begin()) : kNone;
  }

  /// Whether a process is its parent's owner's, if the parent has one: it was born to it and is still with it.
  [[nodiscard]] bool follows_parent(Index i) const {
    if (owners_[i].adopted || interval_.now_parents[i] == kNone) {
      return false;
    }
    const auto& reading = interval_.now.readings()[i];
    if (reading.parent == kInit &&
        std::find(kServiceManagers.begin(), kServiceManagers.end(), reading.name.view()) != kServiceManagers.end()) {
      return false;
    }
    return interval_.first() || interval_.known(i) || interval_.born(i);
  }

  /// Settles i after those of its ancestors that it depends on.
  void settle(Index i) {
    for (auto at = i; !owners_[at].settled; at = interval_.now_parents[at]) {
      path_.push_back(at);
      if (!follows_parent(at)) {
        break;
      }
    }
    for (; !path_.empty(); path_.pop_back()) {
      settle_after_parent(path_.back());
    }
  }

  void settle_after_parent(Index i) {
    auto& owner = owners_[i];
    owner.settled = true;
    if (follows_parent(i)) {
      const auto& parent = owners_[interval_.now_parents[i]];
      if (parent.why == Attribution::collector) {
        owner.why = Attribution::collector;
        return;
      }
      if (scope_ == Scope::tree && parent.has_claim()) {
        owner.why = Attribution::parent;
        owner.claim = parent.claim;
        owner.source = parent.source;
        return;
      }
    }
    if (scope_ == Scope::tree && member_[i] != kNone && members_[member_[i]].owned) {
      owner.why = Attribution::remembered;
      owner.claim = members_[member_[i]].claim;
      owner.source = live_source(owner.claim);
    }
  }

  const Interval& interval_;
  const Scope scope_;
  const std::vector<Member>& members_;
  std::vector<Index> member_;  ///< for each of now: its place among the members
  std::vector<Owner> owners_;
  std::vector<Claim> live_sources_;
  std::vector<Index> path_;
};

Claim orphans_of(const Claim& claim) { return {claim.agent, kOrphans}; }

/// What vanished from one tmux server: one claim, or none for panes of nobody's.
struct Ended {
  Index server;  ///< its place in `now`
  std::optional<Claim> claim;

  friend auto operator<=>(const Ended&, const Ended&) = default;
};

/// The children of tmux servers that vanished, each claim once a server, in the order of the servers.
std::vector<Ended> ended_panes(const Interval& interval, const Roots& roots, const std::vector<Member>& members) {
  std::vector<Index> servers;
  for (const auto& key : roots.tmux_servers) {
    const auto i = interval.now.index_of(key.pid);
    if (i && interval.now.readings()[*i].key == key) {
      servers.push_back(static_cast<Index>(*i));
    }
  }
  std::sort(servers.begin(), servers.end());
  std::vector<Ended> ended;
  const auto then = interval.before.readings();
  for (Index j = 0; j < then.size() && !servers.empty(); ++j) {
    const auto parent = interval.before_parents[j];
    if (interval.later[j] != kNone || parent == kNone ||
        !std::binary_search(servers.begin(), servers.end(), interval.later[parent])) {
      continue;
    }
    const auto* member = find_member(members, then[j].key);
    Ended pane{interval.later[parent], std::nullopt};
    if (member != nullptr && member->owned) {
      pane.claim = member->orphaned ? orphans_of(member->claim) : member->claim;
    }
    ended.push_back(pane);
  }
  std::sort(ended.begin(), ended.end());
  ended.erase(std::unique(ended.begin(), ended.end()), ended.end());
  return ended;
}

/// Adds rows of one claim up, leaves out those without a process and a usage, and sorts by claim.
std::vector<SourceCharge> summed(std::vector<SourceCharge> rows) {
  std::sort(rows.begin(), rows.end(),
            [](const SourceCharge& left, const SourceCharge& right) { return left.claim < right.claim; });
  std::vector<SourceCharge> sums;
  for (const auto& row : rows) {
    if (row.processes == 0 && row.usage == Usage{}) {
      continue;
    }
    if (sums.empty() || sums.back().claim != row.claim) {
      sums.push_back(row);
      continue;
    }
    sums.back().usage += row.usage;
    sums.back().resident += row.resident;
    sums.back().processes += row.processes;
  }
  return sums;
}

}  // namespace

std::optional<Claim> Membership::find(const ProcessKey& key) const {
  const auto* member = find_member(members_, key);
  return member != nullptr && member->owned ? std::optional{member->claim} : std::nullopt;
}

Charges charge(const ProcessTable& before, const ProcessTable& now, const Roots& roots, Membership& membership,
               Scope scope) {
  const Interval interval(before, now);
  const Ownership owners(interval, roots, membership.members_, scope);
  const Reaping reaping(interval);
  const auto readings = now.readings();

  Charges charges;
  charges.processes.resize(readings.size());
  for (Index i = 0; i < readings.size(); ++i) {
    auto& process = charges.processes[i];
    const auto& owner = owners[i];
    process.why = owner.why;
    if (owner.has_claim()) {
      process.claim = owner.source == kNone ? orphans_of(owner.claim) : owner.claim;
    }
    process.usage = scope == Scope::process && owner.why == Attribution::root
                        ? own_usage_of(interval, i)
                        : usage_of(interval, i, reaping.charged_before(i));
  }

  std::vector<SourceCharge> rows;
  if (scope == Scope::tree) {
    // What panes spent after the last look shows in what their tmux server reaped.
    const auto ended = ended_panes(interval, roots, membership.members_);
    for (std::size_t first = 0, next = 0; first < ended.size(); first = next) {
      const auto server = ended[first].server;
      while (next < ended.size() && ended[next].server == server) {
        ++next;
      }
      auto& process = charges.processes[server];
      const bool of_one = next == first + 1;
      if (process.why != Attribution::nobody || (of_one && !ended[first].claim)) {
        continue;
      }
      const auto rest = std::min(not_negative(interval.reaped(server) - reaping.charged_before(server)), process.usage);
      process.usage -= rest;
      if (of_one) {
        rows.push_back({.claim = *ended[first].claim, .usage = rest, .resident = {}, .processes = 0});
      } else {
        charges.unattributed += rest;
      }
    }
  }

  const auto extra_rows = rows.size();
  rows.resize(extra_rows + owners.live_sources().size());
  for (std::size_t source = 0; source < owners.live_sources().size(); ++source) {
    rows[extra_rows + source].claim = owners.live_sources()[source];
  }
  membership.members_.clear();
  membership.owned_ = 0;
  for (Index i = 0; i < readings.size(); ++i) {
    const auto& process = charges.processes[i];
    const auto& owner = owners[i];
    if (owner.why == Attribution::collector) {
      charges.collector += process.usage;
    }
    if (!owner.has_claim()) {
      if (owners.stray(i)) {
        membership.members_.push_back({.key = readings[i].key, .claim = {}, .owned = false, .adopted = true});
      }
      continue;
    }
    const bool orphaned = owner.source == kNone;
    if (orphaned) {
      rows.push_back({process.claim, process.usage, readings[i].resident, 1});
    } else {
      auto& row = rows[extra_rows + owner.source];
      row.usage += process.usage;
      row.resident += readings[i].resident;
      row.processes += 1;
    }
    membership.members_.push_back({readings[i].key, owner.claim, true, owner.adopted, orphaned});
    membership.owned_ += 1;
  }
  charges.sources = summed(std::move(rows));
  return charges;
}

}  // namespace fleetledger
