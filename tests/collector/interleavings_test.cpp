// Everything that can happen to the store lane, and to the collector above it, in every order, up to a length that
// SOAK_DEPTH makes longer. Each order is lived through from the beginning, and in the end everything has to add up.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include "collector/collector.h"
#include "collector/log.h"
#include "collector/schedule.h"
#include "collector/store_lane.h"
#include "tests/collector/discovery/fake_home.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/fake_sources.h"
#include "tests/support/fake_store.h"
#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

std::size_t depth(std::size_t usual) {
  const char* wanted = std::getenv("SOAK_DEPTH");
  return wanted == nullptr ? usual : std::stoul(wanted);
}

/// A broken promise ends the life in which it was broken; which that was is said by the caller.
void promise(bool kept, const char* what) {
  if (!kept) {
    throw std::runtime_error(what);
  }
}

/// The pool and the timers: a job's work is done as soon as it is asked for, and its end comes when the life says so.
class Loop {
 public:
  explicit Loop(FakeClock& clock) : fake_(clock) {}

  Runtime runtime() {
    auto made = fake_.runtime();
    made.in_pool = [this](const std::function<void()>& work, std::function<void()> done) {
      work();
      ends_.push_back(std::move(done));
    };
    return made;
  }
  [[nodiscard]] std::size_t under_way() const { return ends_.size(); }
  bool end_job(std::size_t at) {
    if (at >= ends_.size()) {
      return false;
    }
    const auto done = std::move(ends_[at]);
    ends_.erase(ends_.begin() + static_cast<std::ptrdiff_t>(at));
    done();
    return true;
  }
  void advance(Micros by) { fake_.advance(by); }

 private:
  FakeRuntime fake_;
  std::vector<std::function<void()>> ends_;
};

/// Which ledgers have a job, by what the store is asked to do.
struct WatchedStore {
  FakeStore store;
  bool fails = false;

  WatchedStore() {
    store.before_append = [this](const LedgerKey&) -> Result<void> {
      return fails ? Result<void>(fail("locked", Error::Kind::busy)) : Result<void>();
    };
  }
  [[nodiscard]] std::size_t written() const {
    std::size_t ticks = 0;
    for (const auto& [agent, kept] : store.written) {
      ticks += kept.size();
    }
    return ticks;
  }
};

/// Lives through every sequence of `length` of `actions` things. `live` says how much of a sequence it could do: what
/// comes first and cannot be done makes all that begin like it the same.
template <typename Live>
std::size_t in_every_order(std::size_t actions, std::size_t length, const Live& live) {
  std::vector<std::size_t> sequence(length, 0);
  std::size_t lives = 0;
  for (;;) {
    std::size_t did = 0;
    try {
      did = live(sequence);
    } catch (const std::exception& broken) {
      std::string text;
      for (const auto action : sequence) {
        text += std::to_string(action) + ' ';
      }
      INFO("the order " << text);
      FAIL(broken.what());
    }
    ++lives;
    std::size_t at = std::min(did, length - 1);
    std::fill(sequence.begin() + static_cast<std::ptrdiff_t>(at) + 1, sequence.end(), std::size_t{0});
    while (++sequence[at] == actions) {
      sequence[at] = 0;
      if (at-- == 0) {
        return lives;
      }
    }
  }
}

LedgerKey key(const std::string& id) { return {{id, id, "/" + id}, LedgerLocation::agent}; }

struct LaneLife {
  FakeClock clock;
  Loop loop{clock};
  WatchedStore watched;
  std::size_t handed = 0;
  bool draining = false;
  bool drained = false;
  std::unique_ptr<StoreLane> lane = std::make_unique<StoreLane>(watched.store, loop.runtime(), clock,
                                                                [](const LedgerKey&, const StoreLane::Health&) {});

  void append(const std::string& agent, int ticks) {
    for (int i = 0; i < ticks; ++i) {
      ++handed;
      AgentTick tick;
      tick.samples.emplace_back();
      lane->append(key(agent), std::move(tick));
    }
  }

  /// Whether it could be done, and has changed anything.
  bool act(std::size_t action) {
    switch (action) {
      case 0:
        return loop.end_job(0);
      case 1:
        return loop.end_job(1);
      case 2:
        return !draining && (append("a", 4), true);
      case 3:
        return !draining && (append("b", 1), true);
      case 4:
        watched.fails = !watched.fails;
        return true;
      case 5:
        loop.advance(StoreLane::kSlow);
        return true;
      case 6:
        loop.advance(StoreLane::kLastRetry);
        return true;
      case 7:
        if (lane->tracked() == 0) {
          return false;
        }
        lane->release(key("a"));
        return true;
      case 8:
        if (draining) {
          return false;
        }
        draining = true;
        lane->drain([this] {
          promise(!drained, "the end is told twice");
          drained = true;
        });
        return true;
      default:
        return false;
    }
  }
  static constexpr std::size_t kActions = 9;

  void check() const {
    promise(loop.under_way() <= 2 && loop.under_way() <= lane->tracked(), "an agent has two jobs");
    promise(lane->tracked() + lane->remembered() <= 2, "more is kept than there are agents");
    const auto a = lane->counted("a");
    const auto b = lane->counted("b");
    const auto accounted = watched.written() + a.dropped + b.dropped;
    promise(accounted <= handed, "a tick is written twice, or written and called dropped");
    promise(handed - accounted <= 2 * (StoreLane::kQueueLength + 1), "more ticks wait than queues hold");
    promise(lane->dropped() == a.dropped + b.dropped, "the sums of what was dropped differ");
  }
  void finish() {
    if (!draining) {
      act(8);
    }
    for (int rounds = 0; loop.under_way() > 0; ++rounds) {
      promise(rounds < 100, "stopping does not end");
      loop.end_job(0);
      check();
    }
    promise(drained && lane->idle(), "stopping ended without being told");
    promise(watched.written() + lane->dropped() == handed, "a tick was lost and not counted");
  }
};

}  // namespace

TEST_CASE("in whatever order a lane is used, fails and is stopped, no tick is lost uncounted and every stop ends") {
  const auto lives = in_every_order(LaneLife::kActions, depth(5), [](const std::vector<std::size_t>& sequence) {
    LaneLife life;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      if (!life.act(sequence[i])) {
        return i;
      }
      life.check();
    }
    life.finish();
    return sequence.size();
  });
  CHECK(lives > 1000);
}

TEST_CASE("at whatever moment a lane goes away, what is still under way or due touches nothing of it") {
  in_every_order(LaneLife::kActions, depth(4), [](const std::vector<std::size_t>& sequence) {
    LaneLife life;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      if (!life.act(sequence[i])) {
        return i;
      }
    }
    const bool told = life.drained;
    life.lane.reset();
    while (life.loop.end_job(0)) {
    }
    life.loop.advance(1h);
    promise(life.drained == told, "an end is told after the lane has gone");
    return sequence.size();
  });
}

namespace {

constexpr Pid kServer = 100;
constexpr Pid kTool = 200;  ///< its child

/// What a server has used at this moment, and what its child has.
Micros used_by_server(MonotonicTime at) { return Micros{at.time_since_epoch()} / 100; }
Micros used_by_tool(MonotonicTime at) { return Micros{at.time_since_epoch()} / 200; }

/// A row by what no two have in common.
struct RowKey {
  std::string agent;
  WallTime ts{};
  std::string source;
  auto operator<=>(const RowKey&) const = default;
};

struct CollectorLife {
  CollectorLife() {
    add_agent("a");
    add_agent("b");
    processes.hold = true;
  }
  virtual ~CollectorLife() = default;
  CollectorLife(const CollectorLife&) = delete;
  CollectorLife& operator=(const CollectorLife&) = delete;

  FakeClock clock;
  Loop loop{clock};
  WatchedStore watched;
  FakeProcessSource processes;
  FakePaneSource panes;
  Fleet fleet;
  std::vector<Agent> left;
  std::function<void(std::shared_ptr<const Fleet>)> reading;  ///< who waits for the files
  std::size_t asked = 0;
  std::size_t published = 0;
  std::set<RowKey> told;                         ///< the rows of all that was published
  std::map<std::string, MonotonicTime> told_to;  ///< by agent: the look of its newest row
  bool other_scope = false;                      ///< the scope was not the same all the time
  bool stopping = false;
  bool draining = false;
  bool drained = false;
  bool looked = false;
  std::unique_ptr<StoreLane> lane = std::make_unique<StoreLane>(watched.store, loop.runtime(), clock,
                                                                [](const LedgerKey&, const StoreLane::Health&) {});
  std::unique_ptr<Collector> collector =
      std::make_unique<Collector>(CollectorParts{.processes = processes,
                                                 .panes = panes,
                                                 .read_fleet =
                                                     [this](Depth depth, auto then) {
                                                       promise(!reading, "files are read by two at a time");
                                                       begin_reading(depth);
                                                       reading = std::move(then);
                                                     },
                                                 .ledgers = lane.get(),
                                                 .clock = clock,
                                                 .runtime = loop.runtime(),
                                                 .published =
                                                     [this](const TickReport& report) {
                                                       ++published;
                                                       for (const auto& agent : report.agents) {
                                                         keep(agent);
                                                       }
                                                       if (stopping) {
                                                         finish_stopping();
                                                       }
                                                     }},
                                  CollectorOptions{});

  void add_agent(const std::string& name) {
    Agent agent;
    agent.identity = {agent_id(name, "/" + name), name, "/" + name};
    agent.gate.sampling = true;
    agent.settings.sample_interval = agent.settings.idle_sample_interval = 10s;
    agent.server_pid = kServer + static_cast<Pid>(fleet.agents.size());
    agent.last_heartbeat = clock.wall_now;
    fleet.agents.push_back(std::move(agent));
    fleet.access.emplace_back();
    ++fleet.version;
  }

  /// What a tick says of an agent: rows that no tick has told of, over a time that no row is about, and of what was
  /// used in that time.
  void keep(const AgentReport& agent) {
    const auto taken = collector->meter().last_look().moment().taken;
    for (const auto& sample : agent.samples) {
      promise(told.insert({agent.identity.id, sample.ts, sample.source}).second, "a row is told of twice");
      const auto since = taken - sample.interval.value();
      promise(since >= told_to[agent.identity.id], "a row is about a time that another one was about");
      const auto server = used_by_server(taken) - used_by_server(since);
      const auto all = server + used_by_tool(taken) - used_by_tool(since);
      const Micros used = sample.usage.value().micros();
      promise(other_scope ? used >= server && used <= all : used == all, "a row tells of more or less than was used");
    }
    if (!agent.samples.empty()) {
      told_to[agent.identity.id] = taken;
    }
  }
  virtual void begin_reading(Depth /*depth*/) {}
  [[nodiscard]] virtual std::shared_ptr<const Fleet> what_files_say() { return std::make_shared<const Fleet>(fleet); }

  bool look_ends(bool well) {
    if (!processes.waiting()) {
      return false;
    }
    if (well) {
      looked = true;
      const auto server = used_by_server(clock.monotonic_now);
      const auto tool = used_by_tool(clock.monotonic_now);
      std::vector<TreeProcess> tree{{.pid = 1, .name = "init"},
                                    {.pid = kServer, .parent = 1, .own = server},
                                    {.pid = kServer + 1, .parent = 1, .own = server},
                                    {.pid = kTool, .parent = kServer, .own = tool},
                                    {.pid = kTool + 1, .parent = kServer + 1, .own = tool},
                                    {.pid = getpid(), .parent = 1, .name = "fleetledger"}};
      for (auto& process : tree) {
        process.owner = geteuid();
      }
      processes.next.emplace_back(test::look(clock.monotonic_now.time_since_epoch(), tree, 10ms, 0s));
    }
    processes.answer();
    return true;
  }
  bool files_are_read() {
    if (!reading) {
      return false;
    }
    std::exchange(reading, nullptr)(what_files_say());
    return true;
  }
  /// Agent b leaves, or comes back.
  void change_fleet() {
    if (fleet.agents.size() == 2) {
      left.push_back(std::move(fleet.agents.back()));
      fleet.agents.pop_back();
      fleet.access.pop_back();
    } else {
      fleet.agents.push_back(std::move(left.back()));
      fleet.access.emplace_back();
      left.pop_back();
    }
    ++fleet.version;
  }
  void tick() {
    asked += collector->ticking() ? 0 : 1;
    collector->tick();
  }
  /// As the daemon does.
  void stop() {
    stopping = true;
    if (collector->ticking()) {
      loop.runtime().after(400ms, [this] { finish_stopping(); });
    } else {
      finish_stopping();
    }
  }
  void finish_stopping() {
    if (!std::exchange(draining, true)) {
      lane->drain([this] { drained = true; });
    }
  }

  virtual bool act(std::size_t action) {
    switch (action) {
      case 0:
        return look_ends(true);
      case 1:
        return files_are_read();
      case 2:
        return loop.end_job(0);
      case 3: {
        const auto next = collector->next_deadline();
        if (stopping || (!next && looked)) {
          return false;
        }
        loop.advance(std::max(next.value_or(clock.monotonic_now) - clock.monotonic_now, Micros{0}));
        tick();
        return true;
      }
      case 4:
        return look_ends(false);
      case 5:
        watched.fails = !watched.fails;
        return true;
      case 6:
        if (stopping) {
          return false;
        }
        change_fleet();
        collector->reread_files(Depth::changed);
        return true;
      case 7:
        loop.advance(1s);
        return true;
      case 8:
        return !stopping && (stop(), true);
      default:
        return false;
    }
  }
  static constexpr std::size_t kActions = 9;

  void check() const {
    promise(asked == published + (collector->ticking() ? 1 : 0), "a tick is lost");
    promise(loop.under_way() <= 2, "an agent has two jobs");
    promise(lane->tracked() <= 2, "more ledgers are kept than there are agents");
    promise(collector->fleet_counters().agents().size() <= 2, "more agents are counted than there are");
  }
  void finish() {
    if (!stopping) {
      stop();
    }
    loop.advance(1s);
    for (int rounds = 0; !drained; ++rounds) {
      promise(rounds < 100, "stopping does not end");
      loop.end_job(0);
    }
    while (loop.end_job(0)) {  // of a tick that came to its end later still
    }
    check_ledgers();
  }
  /// Each tick that was told of is in its ledger once and whole, or counted as dropped; and nothing else is there.
  void check_ledgers() const {
    promise(collector->counters().rows == told.size(), "rows are told of and not handed over, or not told of");
    std::set<RowKey> kept;
    std::set<std::pair<std::string, WallTime>> ticks;
    for (const auto& [agent, written] : watched.store.written) {
      for (const auto& tick : written) {
        for (const auto& sample : tick.samples) {
          promise(kept.insert({agent, sample.ts, sample.source}).second, "a row is written twice");
          ticks.emplace(agent, sample.ts);
        }
      }
    }
    promise(std::includes(told.begin(), told.end(), kept.begin(), kept.end()), "a row is written that none told of");
    std::set<std::pair<std::string, WallTime>> missing;
    for (const auto& row : told) {
      if (!kept.contains(row)) {
        missing.emplace(row.agent, row.ts);
        promise(!ticks.contains({row.agent, row.ts}), "a tick is torn");
      }
    }
    promise(missing.size() <= lane->dropped(), "rows were lost and not counted");
    promise(kept.size() == lane->counted(id_of("a")).rows + lane->counted(id_of("b")).rows,
            "what was written is not what is counted");
  }
  [[nodiscard]] virtual std::string id_of(const std::string& name) const { return agent_id(name, "/" + name); }
};

/// Lives through every order of so many of a life's actions.
template <typename Life>
std::size_t live_through(std::size_t length) {
  log::set_level(LogLevel::error);
  const auto lives = in_every_order(Life::kActions, length, [](const std::vector<std::size_t>& sequence) {
    Life life;
    // From a collector that has looked once, so that the next tick brings rows.
    life.tick();
    life.files_are_read();
    life.look_ends(true);
    life.loop.advance(10s);
    life.tick();
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      if (!life.act(sequence[i])) {
        return i;
      }
      life.check();
    }
    life.finish();
    // What is still to come comes after the collector has gone.
    auto waiting = std::exchange(life.reading, nullptr);
    life.collector.reset();
    life.lane.reset();
    if (waiting) {
      waiting(life.what_files_say());
    }
    life.look_ends(true);
    while (life.loop.end_job(0)) {
    }
    life.loop.advance(1h);
    return sequence.size();
  });
  log::set_level(LogLevel::info);
  return lives;
}

/// A collector above real files, as the daemon has it, that is given other options all the while.
struct ReloadLife final : CollectorLife {
  struct Home : FakeHome {
    Home() {
      for (const auto* name : {"a", "b"}) {
        add(name);
        entries.back().pid = kServer + static_cast<Pid>(entries.size()) - 1;
        entries.back().heartbeat = "2100-01-01T00:00:00.000Z";
      }
      write_registry();
    }
  };
  static const Home& home() {
    static const Home made;
    return made;
  }

  struct Options {
    DiscoveryOptions discovery = home().options();
    CollectorOptions collector;
  };
  Options wanted;
  std::optional<DiscoveryOptions> reloaded;  ///< for discovery, at its next reading
  std::optional<DiscoveryOptions> taken;     ///< by the reading under way
  Depth depth = Depth::folders;
  Discovery discovery;

  ReloadLife() : discovery(defaults()) {
    wanted.discovery = defaults();
    clock.wall_now = wall();
  }
  static DiscoveryOptions defaults() {
    auto options = home().options();
    options.defaults.sample_interval = options.defaults.idle_sample_interval = 10s;
    return options;
  }

  void begin_reading(Depth how) override {
    depth = how;
    taken = std::exchange(reloaded, std::nullopt);
  }
  std::shared_ptr<const Fleet> what_files_say() override {
    if (taken) {
      discovery.reconfigure(*std::exchange(taken, std::nullopt));
    }
    return discovery.refresh(depth, clock.wall_now);
  }
  [[nodiscard]] std::string id_of(const std::string& name) const override {
    return agent_id(name, home().path() + "/agents/" + name);
  }

  /// As the daemon does.
  void reload() {
    collector->set_options(wanted.collector);
    reloaded = wanted.discovery;
    collector->reread_files(Depth::folders);
  }

  bool act(std::size_t action) override {
    switch (action) {
      case 4: {
        auto& period = wanted.discovery.defaults.idle_sample_interval;
        period = period == 10s ? 4s : 10s;
        break;
      }
      case 5: {
        auto& enabled = wanted.discovery.config.overrides["a"].enabled;
        enabled = !enabled.value_or(true);
        break;
      }
      case 6:
        wanted.collector.scope = wanted.collector.scope == Scope::tree ? Scope::process : Scope::tree;
        other_scope = true;
        break;
      case 7:
        return CollectorLife::act(8);
      default:
        return CollectorLife::act(action);
    }
    return !stopping && (reload(), true);
  }
  static constexpr std::size_t kActions = 8;

  /// Until nothing is under way.
  void settle() {
    for (int rounds = 0; look_ends(true) || files_are_read() || loop.end_job(0) || collector->ticking(); ++rounds) {
      promise(rounds < 100, "a tick does not end");
      loop.advance(0s);
    }
  }
  /// What was asked for last is in force in the end, whenever it was asked for.
  void check_in_force() {
    settle();
    const bool enabled = wanted.discovery.config.overrides["a"].enabled.value_or(true);
    for (int i = 0; i < 3; ++i) {  // the third row is of a time with nothing else
      const auto next = collector->next_deadline();
      promise(next.has_value(), "nobody is metered any more");
      const auto period = wanted.discovery.defaults.idle_sample_interval;
      promise(*next - clock.monotonic_now <= period + period / 2, "the next row is not due within a period and a half");
      loop.advance(std::max(*next - clock.monotonic_now, Micros{0}));
      tick();
      settle();
      const auto& report = collector->last_report();
      promise(report.agents.size() == (enabled ? 2 : 1), "other agents are metered than are enabled");
      if (i < 2) {
        continue;
      }
      for (const auto& agent : report.agents) {
        promise(!agent.samples.empty(), "a deadline brought no row");
        const auto& row = agent.samples.front();
        const auto taken_at = collector->meter().last_look().moment().taken;
        const auto since = taken_at - row.interval.value();
        const bool tree = wanted.collector.scope == Scope::tree;
        promise(row.interval.value() == Micros{period}, "the period is another one");
        promise(row.usage.value().micros() == used_by_server(taken_at) - used_by_server(since) +
                                                  (tree ? used_by_tool(taken_at) - used_by_tool(since) : Micros{0}),
                "the scope is another one");
      }
    }
  }
  void finish() {
    if (!stopping) {
      check_in_force();
    }
    CollectorLife::finish();
  }
};

}  // namespace

TEST_CASE("in whatever order looks, files, ledgers, another fleet and the end come, no tick is lost uncounted") {
  CHECK(live_through<CollectorLife>(depth(5)) > 1000);
}

TEST_CASE("in whatever order reloads change periods, agents and the scope, what was asked for last is in force") {
  CHECK(live_through<ReloadLife>(depth(4)) > 1000);
}

TEST_CASE("in whatever order agents come, go and change, each deadline is taken once or counted as skipped") {
  constexpr std::array<Micros, 3> kPeriods{1s, 2s, 3s};
  in_every_order(7, depth(6), [&](const std::vector<std::size_t>& sequence) {
    const MonotonicTime origin{1h};
    Schedule schedule(origin);
    MonotonicTime now = origin;
    std::size_t taken = 0;
    std::uint64_t skipped = 0;
    std::size_t passed = 0;  // by counting the multiples ourselves
    std::map<std::string, MonotonicTime> next;
    std::map<std::string, MonotonicTime> since;  // when it was last due, or was set
    std::map<std::string, Micros> periods;
    const auto multiple_from = [&](MonotonicTime moment, Micros period) {
      auto multiple = origin;
      while (multiple < moment) {
        multiple += period;
      }
      return multiple;
    };
    const auto advance = [&](Micros by) {
      const auto until = now + by;
      for (auto& [agent, deadline] : next) {
        while (deadline <= until) {
          ++passed;
          since[agent] = until;
          deadline = multiple_from(deadline + 1us, periods[agent]);
        }
      }
      now = until;
      const auto due = schedule.take_due(now);
      taken += due.agents.size();
      skipped += due.skipped;
    };
    const auto set = [&](const std::string& agent, Micros period) {
      const bool changed = !periods.contains(agent) || periods[agent] != period;
      schedule.set(agent, period, now);
      if (changed) {
        periods[agent] = period;
        const bool known = next.contains(agent);
        const auto earliest = (known ? since[agent] : now) + period / 2;
        const auto multiple = multiple_from(std::max(earliest, now + 1us), period);
        next[agent] = known && next[agent] >= earliest ? std::min(next[agent], multiple) : multiple;
        since.emplace(agent, now);
      }
    };
    for (const auto action : sequence) {
      if (action < 3) {
        set("a", kPeriods[action]);
      } else if (action == 3) {
        set("b", 5s);
      } else if (action == 4) {
        schedule.remove("a");
        next.erase("a");
        since.erase("a");
        periods.erase("a");
      } else {
        advance(action == 5 ? 1s : 4500ms);
      }
      promise(taken + skipped == passed, "a deadline is taken twice, or lost");
      promise(schedule.size() == next.size(), "more agents are scheduled than there are");
    }
    return sequence.size();
  });
}
