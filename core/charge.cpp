#include "core/charge.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/interval.h"
#include "core/ownership.h"
#include "core/reaping.h"

namespace fleetledger {

namespace {

using namespace charging;

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
    if (const auto i = interval.place(key); i != kNone) {
      servers.push_back(i);
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

/// What panes spent after the last look shows in what their tmux server reaped. Takes it from the servers' usages, and
/// gives it to the one source whose panes ended there, or to nobody where there are several.
std::vector<SourceCharge> charge_ended_panes(const std::vector<Ended>& ended, const Reaping& reaping,
                                             Charges& charges) {
  std::vector<SourceCharge> rows;
  for (std::size_t first = 0, next = 0; first < ended.size(); first = next) {
    while (next < ended.size() && ended[next].server == ended[first].server) {
      ++next;
    }
    auto& server = charges.processes[ended[first].server];
    const bool of_one = next == first + 1;
    if (server.why != Attribution::nobody || (of_one && !ended[first].claim)) {
      continue;
    }
    const auto rest = std::min(reaping.reaped(ended[first].server), server.usage);
    server.usage -= rest;
    if (of_one) {
      rows.push_back({*ended[first].claim, rest, Bytes{}, 0});
    } else {
      charges.unattributed += rest;
    }
  }
  return rows;
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

/// `rows` and what the processes of `now` were charged, by source.
std::vector<SourceCharge> by_source(std::vector<SourceCharge> rows, const Interval& interval, const Ownership& owners,
                                    const std::vector<ProcessCharge>& processes) {
  const auto live = rows.size();  // where the rows of the live sources begin
  for (const auto& claim : owners.live_sources()) {
    rows.push_back({claim, Usage{}, Bytes{}, 0});
  }
  const auto readings = interval.now.readings();
  for (Index i = 0; i < processes.size(); ++i) {
    if (!owners[i].has_claim()) {
      continue;
    }
    if (owners[i].source == kNone) {
      rows.push_back({processes[i].claim, processes[i].usage, readings[i].resident, 1});
      continue;
    }
    auto& row = rows[live + owners[i].source];
    row.usage += processes[i].usage;
    row.resident += readings[i].resident;
    row.processes += 1;
  }
  return summed(std::move(rows));
}

}  // namespace

std::string_view to_string(Attribution why) {
  constexpr std::array<std::string_view, 6> kWords{"nobody", "collector",  "root",
                                                   "parent", "remembered", "environment"};
  return kWords.at(static_cast<std::size_t>(why));
}

bool is_named_tmux_server(const ProcessReading& reading) {
  const auto name = reading.name.view();
  return name == "tmux" || name.starts_with("tmux: server");
}

bool is_service_manager(const ProcessReading& reading) {
  constexpr std::array<std::string_view, 5> kNames{"systemd", "launchd", "dinit", "runsvdir", "s6-svscan"};
  return reading.parent == 1 && std::find(kNames.begin(), kNames.end(), reading.name.view()) != kNames.end();
}

std::optional<Claim> Membership::find(const ProcessKey& key) const {
  const auto* member = find_member(members_, key);
  return member != nullptr && member->owned ? std::optional{member->claim} : std::nullopt;
}

Charges charge(const ProcessTable& before, const ProcessTable& now, const Roots& roots, Membership& membership,
               Scope scope) {
  const Interval interval(before, now);
  const Ownership owners(interval, roots, membership.members_, scope);
  Reaping reaping(interval, membership.unseen_, membership.lost_);

  Charges charges;
  charges.processes.resize(now.size());
  for (Index i = 0; i < now.size(); ++i) {
    const auto& owner = owners[i];
    auto& process = charges.processes[i];
    process.why = owner.why;
    if (owner.has_claim()) {
      process.claim = owner.source == kNone ? orphans_of(owner.claim) : owner.claim;
    }
    const bool root_alone = scope == Scope::process && owner.why == Attribution::root;
    process.usage = root_alone ? interval.own(i) : reaping.usage(i);
    charges.collector += owner.why == Attribution::collector ? process.usage : Usage{};
  }
  std::vector<SourceCharge> last_of_panes;
  if (scope == Scope::tree) {
    last_of_panes = charge_ended_panes(ended_panes(interval, roots, membership.members_), reaping, charges);
  }
  charges.sources = by_source(std::move(last_of_panes), interval, owners, charges.processes);

  membership.unseen_ = reaping.unseen();
  membership.lost_ = reaping.take_lost();
  membership.members_.clear();
  membership.owned_ = 0;
  for (Index i = 0; i < now.size(); ++i) {
    const auto& owner = owners[i];
    if (owner.has_claim()) {
      membership.members_.push_back({now.readings()[i].key, owner.claim, true, owner.adopted, owner.source == kNone});
      membership.owned_ += 1;
    } else if (owners.stray(i)) {
      membership.members_.push_back({now.readings()[i].key, Claim{}, false, true, false});
    }
  }
  return charges;
}

}  // namespace fleetledger
