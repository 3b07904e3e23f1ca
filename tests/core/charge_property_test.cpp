#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/charge.h"
#include "tests/support/kernel_model.h"

// Random histories of a host, simulated with a model of the kernel's accounting, are charged look by look and compared
// with the truth.
//
// The truth of a source is what somebody who watched every instant would charge to it: what is spent by its roots and
// by what was born to its processes, wherever those are re-parented to. Claims come and go at looks only, and hold for
// the whole interval that a look ends. Three things are no source's by rule, and so not by truth either: what is spent
// between the last look and the end of a root belongs to who reaps the root: the source of the process that does, or
// nobody's; for a pane it is its session's, unless another pane of the same tmux server ended in the same interval:
// then it is unattributed.

using namespace fleetledger;
using fleetledger::test::KernelModel;

namespace {

constexpr int kHistories = 3000;

struct Kind {
  bool all_waited_for = true;  ///< each process is waited for by the parent that it had, and before that one ends
  bool nested_roots = true;    ///< roots may descend from other roots (of the same agent where not all is waited for)
  Micros tick{0};              ///< how coarse the readings are
};

/// A process that stands, stood or may come to stand for a source, with its part of the truth.
struct Stand {
  ProcessKey root;
  std::optional<Claim> claim;       ///< its last one
  bool claimed = false;             ///< at the next look
  bool settled = false;             ///< nothing about it changed since the last look: it may end
  std::optional<Claim> charged_to;  ///< at the last look
  Micros spent{0};                  ///< since the last look
};

class History {
 public:
  History(std::uint32_t seed, Kind kind)
      : kind_(kind), random_(seed), most_(8 + static_cast<std::size_t>(pick(24))), host_(static_cast<Pid>(most_) + 8) {
    tmux_ = host_.spawn(1);
    roots_.tmux_servers.push_back(tmux_);
    for (int agent = 0; agent < 2; ++agent) {
      start(1);
      start(tmux_.pid);
    }
  }

  void run() {
    take_look();
    const int looks = 4 + pick(6);
    for (int i = 0; i < looks; ++i) {
      change_claims();
      const int steps = 3 + pick(14);
      for (int step = 0; step < steps; ++step) {
        kind_.all_waited_for ? orderly_step() : wild_step();
      }
      take_look();
    }
  }

  std::map<Claim, Micros> truth;      ///< per source, orphans among them
  std::map<Claim, Micros> raw_truth;  ///< per source, before what outlives it becomes its agent's orphans
  std::map<Claim, Micros> charged;    ///< per source
  Micros truth_nobody{0}, truth_unattributed{0}, truth_everything{0};
  Micros charged_nobody{0}, charged_unattributed{0};
  std::size_t births = 0;
  std::string wrong;  ///< what must never be; empty if all is well

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<std::uint32_t>(below)); }
  bool one_in(int n) { return pick(n) == 0; }

  // --- whose a process is, in truth
  Stand* stand_at(const ProcessKey& key) {
    const auto found = stands_.find(key);
    return found == stands_.end() ? nullptr : &found->second;
  }
  /// The stand that a process belongs to; nullptr: nobody's.
  Stand* stand_of(Pid pid) {
    const auto& process = host_.at(pid);
    auto* own = stand_at(process.key);
    if (own != nullptr && own->claimed) {
      return own;
    }
    const auto adopted = remembered_.find(process.key);
    if (adopted != remembered_.end() && adopted->second) {
      return stand_at(*adopted->second);
    }
    auto* inherited = process.parent <= 1 || host_.at(process.parent).key == tmux_ ? nullptr : stand_of(process.parent);
    return inherited != nullptr && (inherited->claim || own == nullptr) ? inherited : own;
  }
  [[nodiscard]] bool has_root(const Claim& claim) const {
    for (const auto& [key, stand] : stands_) {
      if (stand.claimed && stand.claim == claim && host_.alive(key)) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] std::optional<Claim> effective(const Stand& stand) const {
    return !stand.claim || has_root(*stand.claim) ? stand.claim : Claim{stand.claim->agent, kOrphans};
  }

  // --- what happens on the host
  [[nodiscard]] bool is_essential(Pid pid) const { return pid == 1 || host_.at(pid).key == tmux_; }
  std::optional<Pid> some_process(bool essential_too = false) {
    std::vector<Pid> living;
    for (const auto& [pid, process] : host_.processes()) {
      if (!process.zombie && (essential_too || !is_essential(pid))) {
        living.push_back(pid);
      }
    }
    return living.empty() ? std::nullopt
                          : std::optional{living[static_cast<std::size_t>(pick(static_cast<int>(living.size())))]};
  }
  [[nodiscard]] bool runs(const ProcessKey& key) const { return host_.alive(key) && !host_.at(key.pid).zombie; }
  [[nodiscard]] bool crowded() const { return host_.processes().size() > most_; }

  ProcessKey spawn(Pid parent) {
    ++births;
    return host_.spawn(parent);
  }
  /// A server (child of pid 1) or a pane.
  void start(Pid parent) {
    const auto key = spawn(parent);
    stands_[key].root = key;
  }
  void spend(Pid pid) {
    const Micros time{one_in(4) ? pick(20'000'000) : pick(90'000)};
    host_.at(pid).own += time;
    truth_everything += time;
    auto* stand = stand_of(pid);
    if (stand == nullptr) {
      truth_nobody += time;
      return;
    }
    stand->spent += time;
    if (stand->claim) {
      raw_truth[*stand->claim] += time;
    }
  }

  void orderly_step() {
    switch (pick(8)) {
      case 0:
      case 1:
        if (const auto parent = some_process(); parent && !crowded()) {
          spawn(*parent);
        }
        break;
      case 2:
        if (!crowded()) {
          start(one_in(3) ? 1 : tmux_.pid);
        }
        break;
      case 3:
      case 4:
        if (const auto pid = some_process()) {
          end_tree(*pid);
        }
        break;
      case 5:
        reap_some_zombie();
        break;
      default:
        if (const auto pid = some_process(true)) {
          spend(*pid);
        }
    }
  }

  [[nodiscard]] bool may_end(Pid pid) {
    for (const auto member : host_.tree(pid)) {
      const auto* stand = stand_at(host_.at(member).key);
      if (stand != nullptr && !stand->settled) {
        return false;
      }
    }
    return true;
  }
  /// Children first, each waited for; the last one perhaps later.
  void end_tree(Pid pid) {
    if (!may_end(pid)) {
      return;
    }
    auto members = host_.tree(pid);
    for (auto member = members.rbegin(); member != members.rend(); ++member) {
      if (!host_.at(*member).zombie) {
        if (one_in(2)) {
          spend(*member);
        }
        host_.exit(*member);
      }
      if (*member != pid || one_in(2)) {
        reap(*member);
      }
    }
  }
  void reap_some_zombie() {
    for (const auto& [pid, process] : host_.processes()) {
      const auto* stand = stand_at(process.key);
      if (process.zombie && (stand == nullptr || stand->settled) && one_in(2)) {
        reap(pid);
        return;
      }
    }
  }
  void reap(Pid pid) {
    const auto parent = host_.at(pid).parent;
    auto* stand = stand_at(host_.at(pid).key);
    if (stand != nullptr && kind_.all_waited_for) {
      if (host_.at(parent).key == tmux_) {
        ended_panes_.push_back(stand->root);
      } else if (stand_of(pid) == stand) {
        auto* reaper = stand_of(parent);
        (reaper == nullptr ? truth_nobody : reaper->spent) += std::exchange(stand->spent, Micros{0});
      }
    }
    host_.wait_for(pid);
  }

  void wild_step() {
    switch (pick(16)) {
      case 0:
        if (const auto pid = some_process()) {
          host_.at(*pid).subreaper = true;
        }
        break;
      case 1:
        if (const auto pid = some_process()) {
          host_.at(*pid).ignores_children = true;
        }
        break;
      case 2:
      case 3:
        if (const auto pid = some_process()) {
          end(*pid);
        }
        break;
      case 4:
        if (const auto pid = some_process()) {
          kill_group(*pid);
        }
        break;
      case 5:
        if (one_in(40) && runs(tmux_)) {
          end(tmux_.pid);
        }
        break;
      case 6:
        if (!crowded()) {
          start(one_in(3) || !runs(tmux_) ? 1 : tmux_.pid);
        }
        break;
      case 7:
      case 8:
        reap_some_zombie();
        break;
      case 9:
      case 10:
      case 11:
        if (const auto parent = some_process(); parent && !crowded()) {
          spawn(*parent);
        }
        break;
      default:
        if (const auto pid = some_process(true)) {
          spend(*pid);
        }
    }
  }
  /// Ends one process, waited for or not, whatever becomes of its children.
  void end(Pid pid) {
    const auto* stand = stand_at(host_.at(pid).key);
    if (stand != nullptr && !stand->settled) {
      return;
    }
    for (const auto child : host_.at(pid).children) {
      auto* owner = stand_of(child);
      remembered_[host_.at(child).key] = owner == nullptr ? std::nullopt : std::optional{owner->root};
    }
    const auto key = host_.at(pid).key;
    host_.exit(pid);
    if (host_.alive(key) && !one_in(3)) {
      reap(pid);
    }
  }
  void kill_group(Pid pid) {
    auto members = host_.tree(pid);
    while (!members.empty()) {
      const auto at = members.begin() + (one_in(2) ? 0 : pick(static_cast<int>(members.size())));
      if (host_.processes().count(*at) != 0 && !host_.at(*at).zombie) {
        end(*at);
      }
      members.erase(at);
    }
  }

  // --- looks
  /// What discovery does between two looks.
  void change_claims() {
    for (auto& [key, stand] : stands_) {
      stand.settled = true;
      if (!stand.claimed && one_in(2) && runs(key)) {
        claim(stand);
      } else if (stand.claimed && one_in(15)) {
        stand.claimed = stand.settled = false;
      }
    }
    if (kind_.nested_roots && one_in(3)) {
      const auto pid = some_process();
      if (pid && stands_.count(host_.at(*pid).key) == 0) {
        auto* outer = stand_of(*pid);
        if (kind_.all_waited_for || (outer != nullptr && outer->claim)) {
          auto& stand = stands_[host_.at(*pid).key];
          stand.root = host_.at(*pid).key;
          claim(stand, kind_.all_waited_for ? std::nullopt : std::optional{outer->claim->agent});
        }
      }
    }
    roots_.claims.clear();
    for (const auto& [key, stand] : stands_) {
      if (stand.claimed) {
        roots_.claims[key] = *stand.claim;
      }
    }
  }
  void claim(Stand& stand, std::optional<std::uint32_t> of_agent = std::nullopt) {
    const auto agent = of_agent.value_or(stand.claim ? stand.claim->agent : 1 + static_cast<std::uint32_t>(pick(2)));
    // Some sessions have a second pane; a root that is claimed again is the same source again.
    const bool second = !sources_.empty() && one_in(5) && sources_.back().agent == agent;
    if (!stand.claim || stand.claim->agent != agent) {
      stand.claim = second ? sources_.back() : Claim{agent, static_cast<std::uint32_t>(sources_.size()) + 1};
    }
    sources_.push_back(*stand.claim);
    stand.claimed = true;
    stand.settled = false;
  }

  void take_look() {
    fold_truth();
    auto now = host_.look(kind_.tick);
    const auto charges = charge(last_, now, roots_, membership_);
    std::size_t owned = 0;
    for (const auto& process : charges.processes) {
      owned += process.why != Attribution::nobody ? 1U : 0U;
      charged_nobody += process.why == Attribution::nobody ? process.usage.micros() : Micros{0};
      expect(process.usage >= Usage{}, "a process's usage is negative");
    }
    for (const auto& row : charges.sources) {
      charged[row.claim] += row.usage.micros();
      expect(row.usage >= Usage{}, "a source's usage is negative");
    }
    charged_unattributed += charges.unattributed.micros();
    expect(charges.unattributed >= Usage{}, "the unattributed is negative");
    expect(membership_.size() == owned, "more or less is remembered than lives");
    if (kind_.all_waited_for) {
      std::size_t with_source = 0;
      for (const auto& [pid, process] : host_.processes()) {
        const auto* stand = pid == 1 || process.key == tmux_ ? nullptr : stand_of(pid);
        with_source += stand != nullptr && stand->claim ? 1U : 0U;
      }
      expect(owned == with_source, "a process has a source that it does not have in truth, or has none");
    }
    last_ = std::move(now);
    for (auto it = stands_.begin(); it != stands_.end();) {
      it = host_.alive(it->first) || kept_for_the_remembering(it->first) ? std::next(it) : stands_.erase(it);
    }
  }
  [[nodiscard]] bool kept_for_the_remembering(const ProcessKey& key) const {
    for (const auto& [process, stand] : remembered_) {
      if (stand == key && host_.alive(process)) {
        return true;
      }
    }
    return false;
  }

  /// Gives what was spent since the last look to sources.
  void fold_truth() {
    std::set<std::optional<Claim>> ended;
    for (const auto& key : ended_panes_) {
      ended.insert(stands_.at(key).charged_to);
    }
    for (auto& [key, stand] : stands_) {
      const bool pane_ended = std::find(ended_panes_.begin(), ended_panes_.end(), key) != ended_panes_.end();
      const auto to = pane_ended ? stand.charged_to : effective(stand);
      const auto spent = std::exchange(stand.spent, Micros{0});
      if (pane_ended && ended.size() > 1) {
        truth_unattributed += spent;
      } else {
        (to ? truth[*to] : truth_nobody) += spent;
      }
      stand.charged_to = to;
    }
    ended_panes_.clear();
  }

  void expect(bool right, const char* otherwise) {
    if (!right) {
      wrong = otherwise;
    }
  }

  Kind kind_;
  std::mt19937 random_;
  std::size_t most_;  ///< about so many processes at once; pids are hardly more, and so are soon used again
  KernelModel host_;
  ProcessKey tmux_;
  std::map<ProcessKey, Stand> stands_;
  std::map<ProcessKey, std::optional<ProcessKey>> remembered_;  ///< of the re-parented: the root of their stand
  std::vector<ProcessKey> ended_panes_;
  std::vector<Claim> sources_;
  Roots roots_;
  Membership membership_;
  ProcessTable last_;
};

/// By how much more was charged than was spent: to a source, to an agent, on the host; the worst of them.
Micros excess(const History& history, bool by_source) {
  Micros worst{0};
  std::map<std::uint32_t, Micros> agents;
  auto everything = history.charged_nobody + history.charged_unattributed - history.truth_everything;
  for (const auto& [claim, time] : history.charged) {
    agents[claim.agent] += time;
    everything += time;
    if (by_source && claim.source != kOrphans) {
      const auto spent = history.raw_truth.find(claim);
      worst = std::max(worst, time - (spent == history.raw_truth.end() ? Micros{0} : spent->second));
    }
  }
  for (const auto& [claim, time] : history.raw_truth) {
    agents[claim.agent] -= time;
  }
  for (const auto& [agent, time] : agents) {
    worst = std::max(worst, time);
  }
  return std::max(worst, everything);
}

std::map<Claim, Micros> without_nothing(std::map<Claim, Micros> sums) {
  for (auto it = sums.begin(); it != sums.end();) {
    it = it->second == Micros{0} ? sums.erase(it) : std::next(it);
  }
  return sums;
}

}  // namespace

TEST_CASE("where each process is waited for by its parent, each source is charged exactly what it spent") {
  for (std::uint32_t seed = 1; seed <= kHistories; ++seed) {
    History history(seed, {.all_waited_for = true, .nested_roots = true, .tick = Micros{0}});
    history.run();
    INFO("seed " << seed);
    REQUIRE(history.wrong == "");
    REQUIRE(without_nothing(history.charged) == without_nothing(history.truth));
    REQUIRE(history.charged_nobody == history.truth_nobody);
    REQUIRE(history.charged_unattributed == history.truth_unattributed);
  }
}

TEST_CASE("coarse readings put a source off by no more than two ticks for each process that it could have had") {
  constexpr Micros kTick{10'000};
  for (std::uint32_t seed = 1; seed <= kHistories; ++seed) {
    History history(seed, {.all_waited_for = true, .nested_roots = false, .tick = kTick});
    history.run();
    INFO("seed " << seed);
    REQUIRE(history.wrong == "");
    const auto most = kTick * 2 * static_cast<int>(history.births);
    for (const auto& [claim, spent] : history.truth) {
      INFO("source " << claim.source << " of agent " << claim.agent);
      REQUIRE(std::chrono::abs(history.charged[claim] - spent) <= most);
    }
  }
}

TEST_CASE("where processes are killed, left and adopted, nothing is charged above what was spent") {
  for (const bool nested : {false, true}) {
    for (std::uint32_t seed = 1; seed <= kHistories; ++seed) {
      History history(seed, {.all_waited_for = false, .nested_roots = nested, .tick = Micros{0}});
      history.run();
      INFO("seed " << seed << (nested ? " with nested roots" : ""));
      REQUIRE(history.wrong == "");
      REQUIRE(excess(history, !nested) <= Micros{0});
    }
  }
}
