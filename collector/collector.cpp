#include "collector/collector.h"

#include <algorithm>
#include <set>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "collector/agent_status.h"
#include "collector/discovery/roots.h"
#include "collector/event_retention.h"
#include "collector/host_reading.h"
#include "collector/log.h"
#include "collector/retention_clock.h"
#include "collector/schedule.h"
#include "collector/snapshot_maker.h"

namespace fleetledger {
namespace {

constexpr Micros kPanesGoodFor = std::chrono::minutes{10};
constexpr Micros kFoldersGoodFor = std::chrono::minutes{10};
/// So that a tick on a host with thousands of new processes costs no more than usual; the rest is read after the next.
constexpr std::size_t kEnvironmentsAtOnce = 200;
constexpr Micros kLookAgain = std::chrono::milliseconds{100};
/// After so long a tick leaves the rest of its work to the next turn of the loop: on a host of many agents requests and
/// timers come in between.
constexpr Micros kTurn = std::chrono::milliseconds{2};
/// In the schedule: the one period for all agents, which goes on while there are none. No agent's id is empty.
constexpr const char* kAllAgents = "";
constexpr Micros kPatienceWithFiles = std::chrono::seconds{1};
/// A ledger that is merely busy is not called unavailable before this long.
constexpr std::chrono::milliseconds kBusyIsUnavailable = std::chrono::seconds{10};

bool is_tmux(const ProcessReading& reading) { return reading.name.view().substr(0, 4) == "tmux"; }

/// The tmux servers and their children: while these are the same, the panes are.
std::vector<ProcessKey> tmux_family(const ProcessTable& table) {
  std::set<Pid> tmuxes;
  for (const auto& reading : table.readings()) {
    if (is_tmux(reading)) {
      tmuxes.insert(reading.key.pid);
    }
  }
  std::vector<ProcessKey> family;
  if (tmuxes.empty()) {
    return family;
  }
  for (const auto& reading : table.readings()) {
    if (tmuxes.contains(reading.key.pid) || tmuxes.contains(reading.parent)) {
      family.push_back(reading.key);
    }
  }
  return family;
}

/// The tmux sessions that live session files name, in the fleet's order. One without a name has no panes.
std::vector<std::string_view> wanted_sessions(const Fleet& fleet) {
  std::vector<std::string_view> names;
  for (const auto& agent : fleet.agents) {
    if (agent.metered()) {
      for (const auto& session : agent.live_sessions) {
        if (!session.tmux_session.empty()) {
          names.emplace_back(session.tmux_session);
        }
      }
    }
  }
  return names;
}

/// Whether a name is among these that is not among those.
template <typename These, typename Those>
bool any_new(const These& these, const Those& those) {
  const std::unordered_set<std::string_view> known(those.begin(), those.end());
  return !std::all_of(these.begin(), these.end(), [&](std::string_view name) { return known.contains(name); });
}

}  // namespace

struct Collector::State : std::enable_shared_from_this<State> {
  State(CollectorParts the_parts, CollectorOptions the_options)
      : parts(std::move(the_parts)),
        options(the_options),
        totals(the_options.metrics_sessions),
        schedule(the_options.interval ? parts.clock.monotonic() : MonotonicTime{}),
        meter(the_options.scope),
        heaps(parts.ask_heap, parts.runtime, parts.clock) {
    if (parts.events && parts.ledgers != nullptr) {
      feed.emplace(*parts.events, ways_of_events(), parts.runtime, parts.clock, geteuid());
    }
  }

  CollectorParts parts;
  CollectorOptions options;
  FleetCounters totals;
  RetentionClock retention;
  Schedule schedule;
  Meter meter;
  Heaps heaps;
  std::optional<EventFeed> feed;
  std::unordered_map<std::string, ProcessKey> servers;  ///< at the last look, by agent id
  RootResolver resolver{geteuid()};
  Declarations declarations{geteuid()};
  bool reading_environments = false;
  std::shared_ptr<const Fleet> fleet = std::make_shared<const Fleet>();
  std::vector<Pane> panes;
  bool panes_are_new = false;  ///< since roots were last resolved
  std::optional<MonotonicTime> panes_listed;
  std::vector<ProcessKey> panes_family;
  using SessionNames = std::shared_ptr<const std::vector<std::string>>;
  SessionNames wanted = std::make_shared<const std::vector<std::string>>();  ///< by the fleet: see wanted_sessions
  /// When the panes were listed; as long as the names are the same, `wanted` itself.
  SessionNames panes_wanted = wanted;
  CollectorCounters counters;
  std::uint64_t deadlines_answered = 0;
  /// Of an agent's ticks that were handed to its ledger.
  struct Handed {
    std::optional<WallTime> newest;
    std::optional<WallTime> pruned;  ///< the hour of the last one that pruned
  };
  std::unordered_map<std::string, Handed> handed;  ///< by agent id
  TickReport report;                               ///< being made
  TickReport published;                            ///< the last whole one
  SelfUsage self_before = read_self_usage();
  SnapshotMaker snapshots;
  /// What the meter's last look was charged by, and when that was.
  struct {
    std::shared_ptr<const Fleet> fleet;
    ResolvedRoots resolved;
    WallTime ts{};
  } charged;
  std::optional<BootTime> first_look;
  std::shared_ptr<const Snapshot> snapshot = std::make_shared<const Snapshot>();
  std::optional<MonotonicTime> folders_listed;
  bool reading_files = false;
  std::optional<Depth> read_again;  ///< asked for while files were being read
  bool session_began = false;       ///< since the last look was asked for
  bool closed = false;

  /// The tick under way.
  struct Tick {
    MonotonicTime begun;
    bool files_read = false;
    std::optional<Result<ProcessTable>> table;
    std::vector<ProcessKey> family;  ///< see tmux_family; empty while no panes are wanted
    bool answered = false;           ///< both are there and the rest goes on
    // What is made of them, step by step:
    enum class Step { none, resolve, claim, charge, find_servers, append, snapshot, count, publish } step = Step::none;
    std::optional<ResolvedRoots> resolved;  ///< nothing: as at the last look
    std::unordered_map<ProcessKey, Claim> declared;
    std::shared_ptr<const Fleet> fleet_before;  ///< of the last look, which is let go in a step of its own
    std::vector<std::string> due;               ///< agents, sorted
    std::size_t appended = 0;                   ///< of the metered agents
    Snapshot snapshot{};
  };
  std::shared_ptr<Tick> running;
  /// What the agents' files said while a tick was being made of what they had said before.
  std::function<void()> files_told;

  void tick();
  void read_files(Depth depth, std::function<void()> then);
  void adopt(std::shared_ptr<const Fleet> now);
  void reread_files(Depth depth);
  void look_if_session_began();
  void log_changes(const Fleet& now) const;
  void arrived(const std::shared_ptr<Tick>& tick);
  void list_panes(const std::shared_ptr<Tick>& tick);
  void ask_heaps();
  [[nodiscard]] Micros period_of(const Agent& agent) const;
  [[nodiscard]] bool panes_may_have_changed(const Tick& tick) const;
  void resolve_in_next_turn(const std::shared_ptr<Tick>& tick);
  void resolve(const std::shared_ptr<Tick>& tick);
  void measure(const std::shared_ptr<Tick>& tick);
  void do_step(Tick& tick);
  void charge_everybody(Tick& tick);
  void find_servers();
  void read_environments();
  std::vector<std::string> take_due();
  void append_for(const MeteredAgent& metered, const std::vector<std::string>& due);
  [[nodiscard]] StoreLane::Written prune_with(AgentTick& tick, const Agent& agent);
  void hand_over(const LedgerKey& ledger, AgentTick tick, StoreLane::Written written = {});
  [[nodiscard]] EventFeed::Ways ways_of_events();
  [[nodiscard]] WallTime retention_now() { return retention.now(parts.clock.wall(), parts.clock.monotonic()); }
  void check_events(bool all);
  void take_snapshot(Snapshot taken);
  void publish(Tick& tick);
  [[nodiscard]] AgentStatus status_of(const Agent& agent) const;
  [[nodiscard]] std::optional<Explanation> explain(Pid pid) const;
};

void Collector::State::tick() {
  if (running) {
    return;
  }
  if (parts.begun) {
    parts.begun();
  }
  running = std::make_shared<Tick>(Tick{.begun = parts.clock.monotonic(), .table = {}, .family = {}});
  report = {};
  report.due = counters.looks == 0;
  ++counters.looks;

  const auto arrive = [self = shared_from_this(), tick = running] { self->arrived(tick); };
  const auto depth =
      !folders_listed || running->begun - *folders_listed >= kFoldersGoodFor ? Depth::folders : Depth::told;
  const auto files_are_read = [tick = running, arrive] {
    tick->files_read = true;
    arrive();
  };
  read_files(depth, files_are_read);
  if (!running->files_read) {
    parts.runtime.after(kPatienceWithFiles, files_are_read);
  }
  ask_heaps();
  parts.processes.look([tick = running, arrive](Result<ProcessTable> table) {
    tick->table = std::move(table);
    arrive();
  });
}

/// Of the agents whose rows are due, beside the look: an answer that comes before the rows are made is in them.
void Collector::State::ask_heaps() {
  std::vector<Heaps::Candidate> candidates;
  if (options.heap && parts.ask_heap && parts.ledgers != nullptr) {
    const auto now = running->begun;
    candidates.reserve(fleet->agents.size());
    for (std::size_t i = 0; i < fleet->agents.size(); ++i) {
      const auto& id = fleet->agents[i].identity.id;
      const auto& access = fleet->access[i];
      const auto server = servers.find(id);
      if (server != servers.end() && access.port && access.token.kind == AgentToken::Kind::readable) {
        candidates.push_back(
            {{id, server->second, meter.last_look().moment().start_slack, *access.port, access.token.secret},
             schedule.is_due(options.interval ? kAllAgents : id, now)});
      }
    }
  }
  heaps.ask(candidates);
}

/// Between two rows of this agent.
Micros Collector::State::period_of(const Agent& agent) const {
  if (options.interval) {
    return *options.interval;
  }
  return agent.live_sessions.empty() ? agent.settings.idle_sample_interval : agent.settings.sample_interval;
}

void Collector::State::read_files(Depth depth, std::function<void()> then) {
  if (reading_files) {
    // The one under way will be adopted: this disk needs no second reader. What it was not asked to look at is next.
    read_again = std::max(read_again.value_or(depth), depth);
    return then();
  }
  reading_files = true;
  if (depth == Depth::folders) {
    folders_listed = parts.clock.monotonic();
  }
  parts.read_fleet(depth, [self = shared_from_this(), depth, then = std::move(then)](std::shared_ptr<const Fleet> now) {
    auto told = [self, depth, then, now = std::move(now)]() mutable {
      self->reading_files = false;
      if (self->closed) {
        return;
      }
      self->adopt(std::move(now));
      self->check_events(depth == Depth::folders);
      then();
      if (const auto again = std::exchange(self->read_again, std::nullopt)) {
        self->reread_files(*again);
      }
    };
    if (self->running && self->running->step != Tick::Step::none) {
      self->files_told = std::move(told);  // one reading at a time: there is no other
    } else {
      told();
    }
  });
}

void Collector::State::adopt(std::shared_ptr<const Fleet> now) {
  if (now->version == fleet->version) {
    return;
  }
  // Usually only a heartbeat is another one: of thousands of sessions that costs a comparison and no copy.
  const auto names = wanted_sessions(*now);
  if (!std::equal(names.begin(), names.end(), wanted->begin(), wanted->end())) {
    const bool began = any_new(names, *wanted);
    const bool same_names = !began && !any_new(*wanted, names);
    session_began = session_began || began;
    const auto before =
        std::exchange(wanted, std::make_shared<const std::vector<std::string>>(names.begin(), names.end()));
    if (same_names && panes_wanted == before) {
      panes_wanted = wanted;
    }
  }
  log_changes(*now);
  const auto moment = parts.clock.monotonic();
  std::unordered_map<std::string_view, const Agent*> known;
  for (const auto& agent : now->agents) {
    known.emplace(agent.identity.id, &agent);
    if (agent.metered() && !options.interval) {
      schedule.set(agent.identity.id, period_of(agent), moment);
    }
  }
  for (const auto& before : fleet->agents) {
    const auto found = known.find(before.identity.id);
    const Agent* stays = found == known.end() ? nullptr : found->second;
    if (stays == nullptr || !stays->metered()) {
      schedule.remove(before.identity.id);
    }
    const bool written = stays != nullptr && stays->gate.ledger && stays->settings.location == before.settings.location;
    if (!written && parts.ledgers != nullptr) {
      parts.ledgers->release(ledger_of(before));  // it is opened again where it is written again
    }
  }
  fleet = std::move(now);
  if (feed) {
    feed->adopt(*fleet);
  }
  for (const auto& forgotten : totals.adopt(*fleet, moment)) {
    if (parts.ledgers != nullptr) {
      parts.ledgers->forget(forgotten);
    }
  }
}

void Collector::State::reread_files(Depth depth) {
  if (reading_files) {
    read_again = std::max(read_again.value_or(depth), depth);
    return;
  }
  read_files(depth, [self = shared_from_this()] { self->look_if_session_began(); });
}

void Collector::State::look_if_session_began() {
  if (!session_began || closed) {
    return;
  }
  if (running) {
    parts.runtime.after(kLookAgain, [self = shared_from_this()] { self->look_if_session_began(); });
  } else {
    tick();
  }
}

void Collector::State::log_changes(const Fleet& now) const {
  std::unordered_map<std::string_view, AgentState> before;
  for (const auto& agent : fleet->agents) {
    before.emplace(agent.identity.id, agent.state());
  }
  for (const auto& agent : now.agents) {
    const auto known = before.find(agent.identity.id);
    if (known == before.end() || known->second != agent.state()) {
      log::info(
          "agent",
          {{"id", agent.identity.id}, {"state", std::string(to_string(agent.state()))}, {"reason", agent.reason}});
    }
    if (known != before.end()) {
      before.erase(known);
    }
  }
  for (const auto& agent : fleet->agents) {
    if (before.contains(agent.identity.id)) {
      log::info("agent", {{"id", agent.identity.id}, {"state", std::string(to_string(AgentState::gone))}});
    }
  }
}

void Collector::State::arrived(const std::shared_ptr<Tick>& tick) {
  if (closed || tick->answered || !tick->files_read || !tick->table) {
    return;
  }
  tick->answered = true;
  if (!*tick->table) {
    ++counters.failed_looks;
    report.failure = tick->table->error();
    log::warning_once("look_failed", "processes", report.failure->text);
    take_due();
    return publish(*tick);
  }
  log::warning_once("look_failed", "processes", "");
  if (!wanted->empty()) {
    tick->family = tmux_family(**tick->table);
  }
  if (panes_may_have_changed(*tick)) {
    list_panes(tick);
  } else {
    resolve_in_next_turn(tick);
  }
}

bool Collector::State::panes_may_have_changed(const Tick& tick) const {
  if (wanted->empty()) {
    return false;
  }
  return !panes_listed || (*tick.table)->moment().taken - *panes_listed >= kPanesGoodFor || wanted != panes_wanted ||
         tick.family != panes_family;
}

void Collector::State::list_panes(const std::shared_ptr<Tick>& tick) {
  ++counters.pane_lists;
  parts.panes.list([self = shared_from_this(), tick](Result<std::vector<Pane>> listed) {
    if (self->closed) {
      return;
    }
    if (listed) {
      self->panes = std::move(*listed);
      self->panes_are_new = true;
      self->panes_listed = (*tick->table)->moment().taken;
      self->panes_family = std::move(tick->family);
      self->panes_wanted = self->wanted;
      log::warning_once("panes_failed", "tmux", "");
    } else {
      ++self->counters.failed_pane_lists;
      self->panes_listed.reset();
      log::warning_once("panes_failed", "tmux", listed.error().text);
    }
    self->resolve_in_next_turn(tick);
  });
}

/// What has come is not in the same turn as what is made of it: each can be milliseconds where there are many agents.
void Collector::State::resolve_in_next_turn(const std::shared_ptr<Tick>& tick) {
  tick->step = Tick::Step::resolve;  // what files say from now on is for the next look, with its panes
  parts.runtime.after(Micros{0}, [self = shared_from_this(), tick] {
    if (!self->closed) {
      self->resolve(tick);
    }
  });
}

/// In the pool, if anything has changed that the roots rest on: of thousands of sessions it takes milliseconds.
void Collector::State::resolve(const std::shared_ptr<Tick>& tick) {
  const auto& table = **tick->table;
  // The moment of the look, which can be long past where a host is short of CPU: so rows are as far apart as they say.
  report.ts = parts.clock.wall() -
              std::chrono::floor<std::chrono::milliseconds>(parts.clock.monotonic() - table.moment().taken);
  report.processes = table.size();
  const auto charge_next = [self = shared_from_this(), tick] {
    if (!self->closed) {
      tick->step = Tick::Step::claim;
      self->measure(tick);
    }
  };
  const bool other_panes = std::exchange(panes_are_new, false);
  if (charged.fleet == fleet && !other_panes && resolver.still_holds(table)) {
    return charge_next();
  }
  parts.runtime.in_pool(
      // Until the tick is over nobody else resolves, and nobody changes the panes.
      [self = shared_from_this(), tick, now = fleet, ts = report.ts] {
        tick->resolved = self->resolver.resolve(*now, self->panes, **tick->table, ts);
        tick->resolved->roots.collector = getpid();
      },
      charge_next);
}

/// From claims to publishing: in as many turns of the loop as it takes.
void Collector::State::measure(const std::shared_ptr<Tick>& tick) {
  const auto begun = parts.clock.monotonic();
  do {
    do_step(*tick);
    if (running != tick) {
      return;  // it is published
    }
  } while (parts.clock.monotonic() - begun < kTurn);
  parts.runtime.after(Micros{0}, [self = shared_from_this(), tick] {
    if (!self->closed) {
      self->measure(tick);
    }
  });
}

void Collector::State::do_step(Tick& tick) {
  using Step = Tick::Step;
  switch (tick.step) {
    case Step::none:
    case Step::resolve:
      return;
    case Step::claim:
      tick.declared = declarations.claims(*fleet, tick.resolved ? *tick.resolved : charged.resolved);
      tick.step = Step::charge;
      return;
    case Step::charge:
      charge_everybody(tick);
      tick.step = Step::find_servers;
      return;
    case Step::find_servers:
      tick.resolved.reset();
      tick.fleet_before.reset();
      read_environments();
      find_servers();
      tick.due = take_due();
      report.agents.reserve(charged.resolved.metered.size());
      tick.step = Step::append;
      return;
    case Step::append:
      if (tick.appended < charged.resolved.metered.size()) {
        return append_for(charged.resolved.metered[tick.appended++], tick.due);
      }
      for (const auto& agent : fleet->agents) {
        if (!agent.metered()) {
          report.others.push_back({agent.identity, status_of(agent), {}});
        }
      }
      tick.step = Step::snapshot;
      return;
    case Step::snapshot:
      tick.snapshot = snapshots.make(*fleet, charged.resolved, meter, read_host(), parts.clock.monotonic());
      tick.step = Step::count;
      return;
    case Step::count:
      take_snapshot(std::move(tick.snapshot));
      tick.step = Step::publish;
      return;
    case Step::publish:
      return publish(tick);
  }
}

/// What the look is charged by and the charging change in one step: explain() sees both.
void Collector::State::charge_everybody(Tick& tick) {
  auto& table = **tick.table;
  first_look = first_look.value_or(table.moment().boot);
  if (tick.resolved) {
    std::swap(charged.resolved, *tick.resolved);
  }
  charged.resolved.roots.declared = std::move(tick.declared);
  tick.fleet_before = std::exchange(charged.fleet, fleet);
  charged.ts = report.ts;
  meter.look(std::move(table), charged.resolved);
  session_began = false;
}

void Collector::State::find_servers() {
  servers.clear();
  for (const auto& root : charged.resolved.named) {
    if (const auto* reading = meter.last_look().find(root.pid); reading != nullptr && root.source == kServerSource) {
      servers.emplace(fleet->agents[root.agent].identity.id, reading->key);
    }
  }
}

/// Asks the processes that nobody claims; the answers count from the next look on, for the time since this one.
void Collector::State::read_environments() {
  if (!parts.environments || reading_environments || options.scope != Scope::tree) {
    return;
  }
  struct Reading {
    std::shared_ptr<EnvironmentSource> environments;
    std::vector<ProcessKey> processes;
    Micros start_slack{};
    std::vector<DeclaredProcess> declared;
  };
  const auto& look = meter.last_look();
  const auto reading =
      std::make_shared<Reading>(Reading{parts.environments,
                                        declarations.to_read(look, meter.last_charges(), kEnvironmentsAtOnce),
                                        look.moment().start_slack,
                                        {}});
  if (reading->processes.empty()) {
    return;
  }
  reading_environments = true;
  parts.runtime.in_pool(
      [reading] { reading->declared = reading->environments->read(reading->processes, reading->start_slack); },
      [self = shared_from_this(), reading] {
        self->reading_environments = false;
        self->declarations.keep(reading->declared);
      });
}

std::vector<std::string> Collector::State::take_due() {
  const auto now = parts.clock.monotonic();
  static_cast<void>(retention_now());  // sees a step, whether or not something is pruned
  const auto late = schedule.passed(running->begun);
  auto due = schedule.take_due(now);
  if (options.interval) {
    schedule.set(kAllAgents, *options.interval, now);
  }
  counters.skipped_late += std::min(late, due.skipped);
  counters.skipped_running += due.skipped - std::min(late, due.skipped);
  if (due.skipped > 0) {
    log::warning("deadlines_skipped", {{"count", std::to_string(due.skipped)},
                                       {"reason", late > 0 ? "the tick came too late" : "the look took too long"}});
  }
  deadlines_answered += due.agents.empty() ? 0 : 1;
  report.due = report.due || !due.agents.empty();
  return std::move(due.agents);
}

void Collector::State::append_for(const MeteredAgent& metered, const std::vector<std::string>& due) {
  const auto wall = report.ts;
  const auto& agent = fleet->agents[metered.agent];
  AgentReport said{agent.identity, {}, {}};
  if (options.interval ? !due.empty() : std::binary_search(due.begin(), due.end(), agent.identity.id)) {
    if (const auto reading = meter.take(metered.number)) {
      said.samples = to_samples(*reading, wall);
      if (const auto server = servers.find(agent.identity.id);
          server != servers.end() && !said.samples.empty() && said.samples.front().source == kServerSource) {
        said.samples.front().heap = heaps.newest(agent.identity.id, server->second, running->begun - period_of(agent));
      }
    }
    if (parts.ledgers != nullptr) {
      AgentTick tick;
      tick.samples = said.samples;
      tick.ts = wall;
      tick.most_bytes = agent.settings.max_ledger_size;
      auto written = prune_with(tick, agent);
      const auto* health = parts.ledgers->health(agent.identity.id);
      if (!tick.samples.empty() && !(health != nullptr && health->standing && health->standing->yielding)) {
        handed[agent.identity.id].newest = wall;
      }
      hand_over(ledger_of(agent), std::move(tick), std::move(written));
    }
  }
  said.status = status_of(agent);
  report.agents.push_back(std::move(said));
}

/// What is too old goes with a tick an hour, samples by whole hours in any case; each time the ledger is asked for it
/// costs more than the rows of a tick. If that is dropped, or leaves an arrear, another tick prunes.
StoreLane::Written Collector::State::prune_with(AgentTick& tick, const Agent& agent) {
  const auto hour = std::chrono::floor<std::chrono::hours>(report.ts);
  auto& pruned = handed[agent.identity.id].pruned;
  if (pruned == hour) {
    return {};
  }
  pruned = hour;
  const auto now = retention_now();
  tick.prune_samples_before = now - agent.settings.retention;
  tick.prune_rollups_before = now - agent.settings.rollup_retention;
  prune_events(tick, agent.settings, now);
  return [state = weak_from_this(), id = agent.identity.id](const LedgerStanding* standing) {
    const auto self = state.lock();
    if (self && (standing == nullptr || standing->more_to_prune)) {
      if (const auto known = self->handed.find(id); known != self->handed.end()) {
        known->second.pruned.reset();
      }
    }
  };
}

/// The one way to the ledgers: what goes through here is counted.
void Collector::State::hand_over(const LedgerKey& ledger, AgentTick tick, StoreLane::Written written) {
  counters.rows += tick.samples.size();
  parts.ledgers->append(ledger, std::move(tick), std::move(written));
}

/// The feed is closed before this goes.
EventFeed::Ways Collector::State::ways_of_events() {
  return {
      .hand_over = [this](const LedgerKey& ledger, AgentTick tick,
                          StoreLane::Written written) { hand_over(ledger, std::move(tick), std::move(written)); },
      .recorded = [this](const AgentIdentity& agent, const auto& events) { totals.add(agent, events); },
      .skipped = [this](const AgentIdentity& agent, const SkippedLines& lines) { totals.add_skipped(agent, lines); },
      .retention_now = [this] { return retention_now(); }};
}

void Collector::State::check_events(bool all) {
  if (feed) {
    feed->check(all, [this](const std::string& id) {
      const auto* health = parts.ledgers->health(id);
      return health != nullptr && health->standing ? health->standing->place : std::string();
    });
  }
}

/// Adds what the ledgers and the agents' states say, and counts it.
void Collector::State::take_snapshot(Snapshot taken) {
  taken.ts = report.ts;
  for (auto& agent : taken.agents) {
    const auto known = handed.find(agent.identity.id);
    agent.newest_row = known == handed.end() ? std::nullopt : known->second.newest;
    if (const auto* health = parts.ledgers == nullptr ? nullptr : parts.ledgers->health(agent.identity.id)) {
      agent.ledger = *health;
    }
    agent.events_problem = feed ? feed->problem(agent.identity.id) : "";
  }
  std::set<std::string_view> known;
  for (const auto& agent : fleet->agents) {
    known.insert(agent.identity.id);
  }
  std::erase_if(handed, [&](const auto& entry) { return !known.contains(entry.first); });
  totals.add(taken, parts.clock.monotonic());
  snapshot = std::make_shared<const Snapshot>(std::move(taken));
}

void Collector::State::publish(Tick& tick) {
  ++counters.ticks;
  const auto self = read_self_usage();
  report.self = self.own - self_before.own;
  report.self_children = self.children - self_before.children;
  report.self_resident = self.resident;
  report.took = parts.clock.monotonic() - tick.begun;
  counters.tick_durations.add(report.took);
  self_before = self;
  report.number = deadlines_answered;
  published = std::move(report);
  running.reset();
  if (parts.published) {
    parts.published(published);
  }
  if (const auto told = std::exchange(files_told, nullptr)) {
    told();
  }
}

AgentStatus Collector::State::status_of(const Agent& agent) const {
  const auto* health = parts.ledgers == nullptr ? nullptr : parts.ledgers->health(agent.identity.id);
  const auto now = parts.clock.wall();
  const auto as_it_stands =
      status_with(agent, health != nullptr && health->standing ? *health->standing : LedgerStanding{}, now);
  if (health == nullptr || !health->error || !agent.metered() || agent.silent_since) {
    return as_it_stands;
  }
  const bool for_long = now - *health->failing_since >= kBusyIsUnavailable;
  if (health->error->kind == Error::Kind::busy && !for_long) {
    return as_it_stands;
  }
  return {AgentState::unavailable, health->error->text};
}

std::optional<Explanation> Collector::State::explain(Pid pid) const {
  if (!charged.fleet) {
    return std::nullopt;
  }
  auto explanation = fleetledger::explain(
      pid, {.fleet = *charged.fleet,
            .resolved = charged.resolved,
            .table = meter.last_look(),
            .charges = meter.last_charges(),
            .scope = options.scope,
            .user = geteuid(),
            .first_look = *first_look,
            .environment_asked = [this](const ProcessKey& key) { return declarations.asked(key); }});
  if (explanation) {
    explanation->ts = charged.ts;
  }
  return explanation;
}

Collector::Collector(CollectorParts parts, CollectorOptions options)
    : state_(std::make_shared<State>(std::move(parts), options)) {}

Collector::~Collector() {
  state_->closed = true;
  state_->files_told = nullptr;  // it holds the state
  state_->heaps.ask({});         // those that wait for their turn
  stop_events();
}

void Collector::tick() { state_->tick(); }

void Collector::reread_files(Depth depth) { state_->reread_files(depth); }

std::optional<MonotonicTime> Collector::next_deadline() const { return state_->schedule.next(); }

void Collector::set_options(const CollectorOptions& options) {
  state_->options = options;
  state_->meter.set_scope(options.scope);
}

bool Collector::ticking() const { return state_->running != nullptr; }
void Collector::log_changed(const std::string& folder) {
  if (state_->feed) {
    state_->feed->log_changed(folder);
  }
}

void Collector::stop_events() {
  if (state_->feed) {
    state_->feed->close();
  }
}

bool Collector::reading() const {
  return state_->reading_files || state_->reading_environments || (state_->feed && state_->feed->reading());
}
const std::shared_ptr<const Fleet>& Collector::fleet() const { return state_->fleet; }
const Meter& Collector::meter() const { return state_->meter; }
const Declarations& Collector::declarations() const { return state_->declarations; }
const CollectorCounters& Collector::counters() const { return state_->counters; }
const FleetCounters& Collector::fleet_counters() const { return state_->totals; }
const SelfUsage& Collector::self_usage() const { return state_->self_before; }
AgentStatus Collector::status_of(const Agent& agent) const { return state_->status_of(agent); }
const TickReport& Collector::last_report() const { return state_->published; }
std::optional<Explanation> Collector::explain(Pid pid) const { return state_->explain(pid); }
const std::shared_ptr<const Snapshot>& Collector::snapshot() const { return state_->snapshot; }

}  // namespace fleetledger
