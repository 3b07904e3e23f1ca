#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "core/charge.h"
#include "core/interval.h"

namespace fleetledger::charging {

struct Owner {
  Attribution why = Attribution::nobody;
  Claim claim;           ///< as remembered: its root may be gone
  Index source = kNone;  ///< the claim's place among the live sources
  bool settled = false;
  bool adopted = false;  ///< its parent changed, now or earlier

  [[nodiscard]] bool none() const { return why == Attribution::nobody; }
  /// Whether it is a source's.
  [[nodiscard]] bool has_claim() const { return why != Attribution::nobody && why != Attribution::collector; }
};

using Member = Membership::Member;

/// The member with this key among members in the order of their pids; nullptr if there is none.
[[nodiscard]] const Member* find_member(const std::vector<Member>& members, const ProcessKey& key);

/// Whose each process of `now` is. What it is made from must outlive it.
class Ownership {
 public:
  Ownership(const Interval& interval, const Roots& roots, const std::vector<Member>& members, Scope scope);

  [[nodiscard]] const Owner& operator[](Index i) const { return owners_[i]; }
  /// The sources with a root at this look, in their order.
  [[nodiscard]] const std::vector<Claim>& live_sources() const { return live_sources_; }
  /// Nobody's, but with a parent that has an owner and that it was not born to.
  [[nodiscard]] bool stray(Index i) const;

 private:
  void recall();
  void settle_roots(const Roots& roots);
  void settle(Index i);
  void settle_after_parent(Index i);
  [[nodiscard]] bool follows_parent(Index i) const;
  [[nodiscard]] Index live_source(const Claim& claim) const;
  [[nodiscard]] std::optional<Claim> declared_by(Index i) const;

  const Interval& interval_;
  const Scope scope_;
  const std::unordered_map<ProcessKey, Claim>& declared_;
  const std::vector<Member>& members_;
  std::vector<Index> member_;  ///< for each of now: its place among the members
  std::vector<Owner> owners_;
  std::vector<Claim> live_sources_;
  std::vector<Index> path_;
};

}  // namespace fleetledger::charging
