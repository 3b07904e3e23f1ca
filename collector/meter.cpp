#include "collector/meter.h"

#include <algorithm>
#include <utility>

namespace fleetledger {
namespace {

int rank(const std::string& source) {
  if (source == kServerSource) {
    return 0;
  }
  return source == kOrphansSource ? 2 : 1;
}

}  // namespace

std::vector<Sample> to_samples(const AgentReading& reading, WallTime ts) {
  std::vector<Sample> samples;
  if (reading.sources.empty()) {
    return samples;
  }
  samples.reserve(reading.sources.size() + 1);
  Sample aggregate;
  aggregate.ts = ts;
  aggregate.source = kAggregateSource;
  aggregate.interval = reading.interval;
  Usage usage;
  std::uint32_t processes = 0;
  for (const auto& source : reading.sources) {
    Sample sample;
    sample.ts = ts;
    sample.source = source.source;
    sample.pid = source.pid;
    sample.cpu_percent = cpu_percent(source.usage, reading.interval);
    sample.resident = source.resident;
    sample.usage = source.usage;
    sample.interval = reading.interval;
    sample.processes = source.processes;
    usage += source.usage;
    processes += source.processes;
    aggregate.cpu_percent += sample.cpu_percent;
    aggregate.resident += source.resident;
    samples.push_back(std::move(sample));
  }
  aggregate.usage = usage;
  aggregate.processes = processes;
  samples.push_back(std::move(aggregate));
  return samples;
}

void Meter::look(ProcessTable now, const ResolvedRoots& resolved) {
  charges_ = charge(last_, now, resolved.roots, membership_, scope_);
  open_accounts(resolved, looked_ ? last_.moment().taken : now.moment().taken);
  book_charges();
  last_ = std::move(now);
  looked_ = true;
}

void Meter::open_accounts(const ResolvedRoots& resolved, MonotonicTime since) {
  for (auto& [number, account] : accounts_) {
    account.metered = false;
    for (auto& [source, pending] : account.sources) {
      pending.live = false;
      pending.reading.resident = {};
      pending.reading.processes = 0;
    }
  }
  for (const auto& agent : resolved.metered) {
    auto [account, is_new] = accounts_.try_emplace(agent.number);
    account->second.metered = true;
    if (is_new) {
      account->second.since = since;
    }
  }
  std::erase_if(accounts_, [](const auto& entry) { return !entry.second.metered; });
  for (const auto& root : resolved.named) {
    auto& pending = accounts_[root.claim.agent].sources[root.claim.source];
    pending.live = true;
    pending.reading.source = root.source;
    pending.reading.pid = root.pid;
  }
}

void Meter::book_charges() {
  for (const auto& charged : charges_.sources) {
    const auto account = accounts_.find(charged.claim.agent);
    if (account == accounts_.end()) {
      continue;  // its gate was closed since
    }
    auto& sources = account->second.sources;
    auto pending = sources.find(charged.claim.source);
    if (pending == sources.end()) {
      // A source without a name was taken in the very look in which it ended: what is left of it is the orphans'.
      pending = sources.try_emplace(kOrphans).first;
      pending->second.reading.source = kOrphansSource;
    }
    auto& reading = pending->second.reading;
    reading.usage += charged.usage;
    reading.resident += charged.resident;
    reading.processes += charged.processes;
  }
}

std::optional<AgentReading> Meter::take(std::uint32_t agent) {
  const auto found = accounts_.find(agent);
  if (found == accounts_.end() || found->second.since >= last_.moment().taken) {
    return std::nullopt;
  }
  auto& account = found->second;
  AgentReading taken{last_.moment().taken - account.since, {}};
  taken.sources.reserve(account.sources.size());
  for (auto entry = account.sources.begin(); entry != account.sources.end();) {
    auto& [reading, live] = entry->second;
    if (live || reading.processes > 0 || reading.usage > Usage{}) {
      taken.sources.push_back(reading);
    }
    reading.usage = {};
    entry = live ? std::next(entry) : account.sources.erase(entry);
  }
  account.since = last_.moment().taken;
  std::sort(taken.sources.begin(), taken.sources.end(), [](const SourceReading& left, const SourceReading& right) {
    const int order = rank(left.source) - rank(right.source);
    return order != 0 ? order < 0 : left.source < right.source;
  });
  return taken;
}

std::size_t Meter::tracked_sources() const {
  std::size_t count = 0;
  for (const auto& [number, account] : accounts_) {
    count += account.sources.size();
  }
  return count;
}

}  // namespace fleetledger
