#include "backends/sqlite/ledger_homes.h"

#include <utility>
#include <vector>

#include "backends/sqlite/ledger_reader.h"
#include "backends/sqlite/ledger_writer.h"

namespace fleetledger {

Result<LedgerHomes::Home> LedgerHomes::find(const LedgerKey& ledger) {
  Home shared{.place = own_place(ledger.agent), .shared = true, .central_since = {}};
  Home apart{.place = central(ledger.agent), .shared = false, .central_since = {}};
  switch (ledger.location) {
    case LedgerLocation::agent:
      return shared;
    case LedgerLocation::central:
      return apart;
    case LedgerLocation::automatic:
      break;
  }
  const auto file = find_ledger(apart.place);
  if (!file) {
    return fail(file.error());
  }
  {
    const std::lock_guard lock(mutex_);
    if (!*file) {
      moved_.erase(ledger.agent.id);
      return shared;
    }
    if (const auto seen = moved_.find(ledger.agent.id); seen != moved_.end()) {
      apart.central_since = seen->second;
      return apart;
    }
  }
  const auto since = LedgerReader(apart.place, limit_).central_since();
  if (!since) {
    return fail(since.error());
  }
  if (!*since) {
    return shared;
  }
  const std::lock_guard lock(mutex_);
  apart.central_since = moved_[ledger.agent.id] = **since;
  return apart;
}

void LedgerHomes::forget(const std::string& agent_id) {
  const std::lock_guard lock(mutex_);
  moved_.erase(agent_id);
}

std::size_t LedgerHomes::remembered() {
  const std::lock_guard lock(mutex_);
  return moved_.size();
}

Result<LedgerHomes::Home> LedgerHomes::move(const LedgerKey& ledger, LedgerWriter& central, WallTime now) {
  const LedgerReader ours(own_place(ledger.agent), limit_);
  if (auto copied = ours.our_samples([&](const std::vector<Sample>& samples) { return central.copy(samples); });
      !copied) {
    return fail(copied.error());
  }
  // After the samples: those of an hour that counts them already must not be counted once more.
  if (auto copied = ours.lone_rollups([&](const std::vector<Rollup>& rollups) { return central.copy(rollups); });
      !copied) {
    return fail(copied.error());
  }
  // The events themselves come from there as the agent's own server's do: LedgerStore::events_elsewhere.
  const auto notes = ours.our_notes();
  if (!notes) {
    return fail(notes.error());
  }
  if (auto copied = central.copy_notes(*notes); !copied) {
    return fail(copied.error());
  }
  if (auto marked = central.mark_central(now); !marked) {
    return fail(marked.error());
  }
  return find(ledger);
}

}  // namespace fleetledger
