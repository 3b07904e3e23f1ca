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

struct CollectorLife {
  CollectorLife() {
    add_agent("a");
    add_agent("b");
    processes.hold = true;
  }

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
  std::size_t rows = 0;
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
                                                     [this](Depth, auto then) {
                                                       promise(!reading, "files are read by two at a time");
                                                       reading = std::move(then);
                                                     },
                                                 .ledgers = lane.get(),
                                                 .clock = clock,
                                                 .runtime = loop.runtime(),
                                                 .published =
                                                     [this](const TickReport& report) {
                                                       ++published;
                                                       for (const auto& agent : report.agents) {
                                                         rows += agent.samples.empty() ? 0 : 1;
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

  bool look_ends(bool well) {
    if (!processes.waiting()) {
      return false;
    }
    if (well) {
      looked = true;
      const auto used = Micros{clock.monotonic_now.time_since_epoch()} / 100;
      std::vector<TreeProcess> tree{{.pid = 1, .name = "init"},
                                    {.pid = kServer, .parent = 1, .own = used},
                                    {.pid = kServer + 1, .parent = 1, .own = used},
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
    std::exchange(reading, nullptr)(std::make_shared<const Fleet>(fleet));
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

  bool act(std::size_t action) {
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
    promise(rows <= watched.written() + lane->dropped(), "rows were lost and not counted");
  }
};

}  // namespace

TEST_CASE("in whatever order looks, files, ledgers, a reload and the end come, no tick is lost uncounted") {
  log::set_level(LogLevel::error);
  const auto lives = in_every_order(CollectorLife::kActions, depth(5), [](const std::vector<std::size_t>& sequence) {
    CollectorLife life;
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
      waiting(std::make_shared<const Fleet>(life.fleet));
    }
    life.look_ends(true);
    while (life.loop.end_job(0)) {
    }
    life.loop.advance(1h);
    return sequence.size();
  });
  log::set_level(LogLevel::info);
  CHECK(lives > 1000);
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
