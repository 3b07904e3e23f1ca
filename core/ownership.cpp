#include "core/ownership.h"

#include <algorithm>

namespace fleetledger::charging {

namespace {

constexpr Pid kInit = 1;

}  // namespace

const Member* find_member(const std::vector<Member>& members, const ProcessKey& key) {
  const auto found = std::lower_bound(members.begin(), members.end(), key.pid,
                                      [](const Member& member, Pid pid) { return member.key.pid < pid; });
  return found != members.end() && found->key == key ? &*found : nullptr;
}

Ownership::Ownership(const Interval& interval, const Roots& roots, const std::vector<Member>& members, Scope scope)
    : interval_(interval),
      scope_(scope),
      declared_(roots.declared),
      members_(members),
      member_(interval.now.size(), kNone),
      owners_(interval.now.size()) {
  recall();
  settle_roots(roots);
  for (Index i = 0; i < owners_.size(); ++i) {
    settle(i);
  }
}

bool Ownership::stray(Index i) const {
  const auto parent = interval_.now_parents[i];
  return owners_[i].none() && owners_[i].adopted && parent != kNone && !owners_[parent].none();
}

/// What was remembered of each process.
void Ownership::recall() {
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
void Ownership::settle_roots(const Roots& roots) {
  const auto collector = roots.collector ? interval_.now.index_of(*roots.collector) : std::nullopt;
  if (collector) {
    owners_[*collector].why = Attribution::collector;
    owners_[*collector].settled = true;
  }
  for (const auto& [key, claim] : roots.claims) {
    const auto i = interval_.place(key);
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
    const auto i = interval_.place(key);
    if (i != kNone && owners_[i].why == Attribution::root) {
      owners_[i].source = live_source(claim);
    }
  }
  for (const auto& key : roots.tmux_servers) {
    const auto i = interval_.place(key);
    if (i != kNone) {
      owners_[i].settled = true;
    }
  }
  if (const auto init = interval_.now.index_of(kInit)) {
    owners_[*init].settled = true;
  }
}

Index Ownership::live_source(const Claim& claim) const {
  const auto found = std::lower_bound(live_sources_.begin(), live_sources_.end(), claim);
  return found != live_sources_.end() && *found == claim ? static_cast<Index>(found - live_sources_.begin()) : kNone;
}

/// Whether a process is its parent's owner's, if the parent has one: it was born to it and is still with it.
bool Ownership::follows_parent(Index i) const {
  if (owners_[i].adopted || interval_.now_parents[i] == kNone) {
    return false;
  }
  if (is_service_manager(interval_.now.readings()[i])) {
    return false;
  }
  return interval_.first() || interval_.known(i) || interval_.born(i);
}

/// Settles i after those of its ancestors that it depends on.
void Ownership::settle(Index i) {
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

void Ownership::settle_after_parent(Index i) {
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
  if (scope_ != Scope::tree) {
    return;
  }
  const auto declared = declared_by(i);
  if (member_[i] != kNone && members_[member_[i]].owned) {
    owner.claim = members_[member_[i]].claim;
    const bool from_environment = declared && declared->agent == owner.claim.agent;
    owner.why = from_environment ? Attribution::environment : Attribution::remembered;
  } else if (declared) {
    owner.claim = *declared;
    owner.why = Attribution::environment;
  }
  if (owner.has_claim()) {
    owner.source = live_source(owner.claim);
  }
}

std::optional<Claim> Ownership::declared_by(Index i) const {
  const auto& reading = interval_.now.readings()[i];
  const auto found = declared_.find(reading.key);
  if (found == declared_.end() || is_named_tmux_server(reading) || is_service_manager(reading)) {
    return std::nullopt;
  }
  return found->second;
}

}  // namespace fleetledger::charging
