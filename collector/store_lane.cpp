#include "collector/store_lane.h"

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fleetledger {

namespace {

struct Queued {
  AgentTick tick;
  StoreLane::Written written;

  void tell(const LedgerStanding* standing) const {
    if (written) {
      written(standing);
    }
  }
};

}  // namespace

struct StoreLane::Agent {
  /// What its job under way takes.
  enum class Slot { none, quick, slow, hanging };

  LedgerKey ledger;
  std::deque<Queued> queue;
  Health health;
  Micros retry = kFirstRetry;
  MonotonicTime started{};
  Slot slot = Slot::none;
  bool hangs = false;    ///< its job under way, and that is said
  bool waiting = false;  ///< for its next try
  bool slow = false;     ///< its last job was
  bool released = false;
  bool listed = false;  ///< in one of State's queues

  [[nodiscard]] bool running() const { return slot != Slot::none; }
};

struct StoreLane::State : std::enable_shared_from_this<State> {
  State(LedgerStore& the_store, Runtime the_runtime, const Clock& the_clock, Report the_report)
      : store(the_store), runtime(std::move(the_runtime)), clock(the_clock), report(std::move(the_report)) {}

  LedgerStore& store;
  Runtime runtime;
  const Clock& clock;
  Report report;
  std::unordered_map<std::string, Agent> agents;
  std::map<std::string, Health> released;  ///< the counts of agents that are not among those
  /// Agents with something to do, in the order in which they came to have it: the quick ones and the slow ones, so that
  /// starting one never means to look at those that have to wait.
  std::deque<std::string> quick_ready;
  std::deque<std::string> slow_ready;
  std::map<Agent::Slot, std::size_t> jobs;  ///< under way; but for Slot::none
  std::uint64_t dropped = 0;
  bool watching = false;  ///< a look for overdue jobs is coming
  bool closed = false;    ///< the lane is gone; jobs still under way end without a trace
  bool draining = false;  ///< for good: everything is tried once more and no more than that
  std::function<void()> drained;

  void make_ready(Agent& agent);
  void pump();
  void start(std::deque<std::string>& ready);
  void watch_for_overdue();
  void move(Agent& agent, Agent::Slot to);
  bool notice_overdue(Agent& agent);
  [[nodiscard]] std::size_t late() { return jobs[Agent::Slot::slow] + jobs[Agent::Slot::hanging]; }
  void run_append(Agent& agent);
  void run_release(Agent& agent);
  void finish_append(Agent& agent, Queued queued, Result<LedgerStanding> result, Micros took);
  void begin(Agent& agent);
  void end(Agent& agent);
  void fail_append(Agent& agent, Queued queued, Error error);
  void drop_oldest(Agent& agent);
  [[nodiscard]] bool idle() const;
};

void StoreLane::State::make_ready(Agent& agent) {
  const bool has_work = !agent.queue.empty() || agent.released;
  if (has_work && !agent.running() && !agent.waiting && !agent.listed) {
    agent.listed = true;
    (agent.slow ? slow_ready : quick_ready).push_back(agent.ledger.agent.id);
  }
}

void StoreLane::State::pump() {
  const auto slots = draining ? kSlotsAtEnd : kSlots;
  while (jobs[Agent::Slot::quick] < slots && !quick_ready.empty()) {
    start(quick_ready);
  }
  while (jobs[Agent::Slot::slow] == 0 && late() < kLate && !slow_ready.empty()) {
    start(slow_ready);
  }
  if (drained && idle()) {
    std::exchange(drained, nullptr)();
  }
}

/// The first of those that are ready.
void StoreLane::State::start(std::deque<std::string>& ready) {
  const std::string id = std::move(ready.front());
  ready.pop_front();
  auto& agent = agents.at(id);
  agent.listed = false;  // first: a job may be over when this returns, and the agent with it
  if (agent.queue.empty()) {
    run_release(agent);
  } else {
    run_append(agent);
  }
}

void StoreLane::State::begin(Agent& agent) {
  move(agent, agent.slow ? Agent::Slot::slow : Agent::Slot::quick);
  agent.started = clock.monotonic();
  watch_for_overdue();
}

void StoreLane::State::end(Agent& agent) {
  move(agent, Agent::Slot::none);
  agent.hangs = false;
}

void StoreLane::State::move(Agent& agent, Agent::Slot to) {
  if (agent.slot != Agent::Slot::none) {
    --jobs[agent.slot];
  }
  agent.slot = to;
  if (to != Agent::Slot::none) {
    ++jobs[to];
  }
}

void StoreLane::State::watch_for_overdue() {
  if (watching) {
    return;
  }
  watching = true;
  runtime.after(kPassOn, [self = shared_from_this()] {
    self->watching = false;
    if (self->closed) {
      return;
    }
    std::vector<std::pair<LedgerKey, Health>> hanging;
    bool more = false;
    for (auto& [id, agent] : self->agents) {
      if (agent.running() && self->notice_overdue(agent)) {
        hanging.emplace_back(agent.ledger, agent.health);
      }
      more = more || agent.slot == Agent::Slot::quick || agent.slot == Agent::Slot::slow;
    }
    if (more) {
      self->watch_for_overdue();
    }
    for (const auto& [ledger, health] : hanging) {
      self->report(ledger, health);
    }
    self->pump();
  });
}

/// Whether the job is found to hang, now.
bool StoreLane::State::notice_overdue(Agent& agent) {
  const auto took = clock.monotonic() - agent.started;
  if (agent.slot == Agent::Slot::quick && took >= kPassOn && late() < kLate) {
    move(agent, Agent::Slot::slow);
  }
  const bool is_news = took >= kHanging && !agent.hangs;
  if (is_news) {
    agent.hangs = true;
    agent.health.error = Error{"write to its ledger: the disk does not answer", Error::Kind::unavailable};
    agent.health.failing_since =
        agent.health.failing_since.value_or(clock.wall() - std::chrono::duration_cast<std::chrono::milliseconds>(took));
  }
  if (agent.hangs && agent.slot == Agent::Slot::slow) {
    move(agent, Agent::Slot::hanging);
  }
  return is_news;
}

void StoreLane::State::run_append(Agent& agent) {
  struct Job {
    LedgerKey ledger;
    Queued queued;
    Result<LedgerStanding> result;
    Micros took{};
  };
  const auto job = std::make_shared<Job>(Job{agent.ledger, std::move(agent.queue.front()), {}, {}});
  agent.queue.pop_front();
  begin(agent);
  const auto work = [job, self = shared_from_this()] {
    const auto started = self->clock.monotonic();
    job->result = self->store.append(job->ledger, job->queued.tick);
    job->took = self->clock.monotonic() - started;
  };
  runtime.in_pool(work, [job, self = shared_from_this()] {
    if (!self->closed) {
      self->finish_append(self->agents.at(job->ledger.agent.id), std::move(job->queued), std::move(job->result),
                          job->took);
    }
  });
}

void StoreLane::State::run_release(Agent& agent) {
  begin(agent);
  const auto work = [ledger = agent.ledger, self = shared_from_this()] { self->store.release(ledger); };
  runtime.in_pool(work, [id = agent.ledger.agent.id, self = shared_from_this()] {
    if (self->closed) {
      return;
    }
    auto& left = self->agents.at(id);
    self->end(left);
    if (left.released && left.queue.empty()) {
      const auto& health = left.health;
      self->released[id] = {
          .written = health.written, .rows = health.rows, .dropped = health.dropped, .errors = health.errors};
      const auto ledger = left.ledger;
      self->agents.erase(id);
      self->report(ledger, self->released[id]);  // of it nothing fails any more
    } else {
      self->make_ready(left);
    }
    self->pump();
  });
}

void StoreLane::State::finish_append(Agent& agent, Queued queued, Result<LedgerStanding> result, Micros took) {
  end(agent);
  agent.slow = took >= kSlow;
  if (result) {
    if (!result->yielding) {
      ++agent.health.written;
      agent.health.rows += queued.tick.samples.size();
    }
    agent.health.standing = std::move(*result);
    agent.health.error.reset();
    agent.health.failing_since.reset();
    agent.retry = kFirstRetry;
    queued.tell(&*agent.health.standing);
    agent.health.standing->new_events.clear();  // told once, and many at first sight of a log
  } else {
    fail_append(agent, std::move(queued), std::move(result).error());
  }
  const LedgerKey ledger = agent.ledger;
  const Health health = agent.health;
  make_ready(agent);
  report(ledger, health);
  pump();
}

void StoreLane::State::fail_append(Agent& agent, Queued queued, Error error) {
  ++agent.health.errors;
  agent.health.error = std::move(error);
  if (!agent.health.failing_since) {
    agent.health.failing_since = clock.wall();
  }
  agent.queue.push_front(std::move(queued));
  const bool last_try = draining || agent.released;
  if (last_try || agent.queue.size() > kQueueLength) {
    drop_oldest(agent);
  }
  if (last_try) {
    return;
  }
  agent.waiting = true;
  runtime.after(agent.retry, [id = agent.ledger.agent.id, self = shared_from_this()] {
    const auto found = self->agents.find(id);
    if (self->closed || found == self->agents.end() || !found->second.waiting) {
      return;
    }
    found->second.waiting = false;
    self->make_ready(found->second);
    self->pump();
  });
  agent.retry = std::min(2 * agent.retry, kLastRetry);
}

void StoreLane::State::drop_oldest(Agent& agent) {
  const Queued oldest = std::move(agent.queue.front());
  agent.queue.pop_front();
  ++agent.health.dropped;
  ++dropped;
  oldest.tell(nullptr);
}

bool StoreLane::State::idle() const {
  return std::all_of(agents.begin(), agents.end(), [](const auto& entry) {
    return entry.second.queue.empty() && !entry.second.running() && !entry.second.released;
  });
}

StoreLane::StoreLane(LedgerStore& store, Runtime runtime, const Clock& clock, Report report)
    : state_(std::make_shared<State>(store, std::move(runtime), clock, std::move(report))) {}

StoreLane::~StoreLane() { state_->closed = true; }

void StoreLane::append(const LedgerKey& ledger, AgentTick tick, Written written) {
  auto& agent = state_->agents[ledger.agent.id];
  if (auto before = state_->released.extract(ledger.agent.id)) {
    agent.health = std::move(before.mapped());
  }
  agent.ledger = ledger;
  agent.released = false;
  agent.queue.push_back({std::move(tick), std::move(written)});
  if (agent.queue.size() > kQueueLength) {
    state_->drop_oldest(agent);
  }
  state_->make_ready(agent);
  state_->pump();
}

void StoreLane::release(const LedgerKey& ledger) {
  const auto found = state_->agents.find(ledger.agent.id);
  if (found == state_->agents.end()) {
    return;
  }
  found->second.released = true;
  state_->make_ready(found->second);
  state_->pump();
}

const StoreLane::Health* StoreLane::health(const std::string& agent_id) const {
  const auto found = state_->agents.find(agent_id);
  return found == state_->agents.end() ? nullptr : &found->second.health;
}

StoreLane::Health StoreLane::counted(const std::string& agent_id) const {
  if (const auto* known = health(agent_id)) {
    return *known;
  }
  const auto found = state_->released.find(agent_id);
  return found == state_->released.end() ? Health{} : found->second;
}

void StoreLane::forget(const std::string& agent_id) { state_->released.erase(agent_id); }

std::uint64_t StoreLane::dropped() const { return state_->dropped; }
std::size_t StoreLane::tracked() const { return state_->agents.size(); }
std::size_t StoreLane::remembered() const { return state_->released.size(); }
bool StoreLane::idle() const { return state_->idle(); }

void StoreLane::drain(std::function<void()> done) {
  state_->draining = true;
  state_->drained = std::move(done);
  for (auto& [id, agent] : state_->agents) {
    agent.waiting = false;
    state_->make_ready(agent);
  }
  state_->pump();
}

}  // namespace fleetledger
