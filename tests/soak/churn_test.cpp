#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <malloc.h>
#include <map>
#include <memory>
#include <set>
#include <unistd.h>

#include "backends/backends.h"
#include "collector/collector.h"
#include "collector/log.h"
#include "tests/collector/discovery/fake_home.h"
#include "tests/soak/parameters.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/fake_sources.h"
#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

constexpr Pid kTmux = 2;
constexpr int kAgents = 8;

/// A host whose agents, sessions and processes come and go, as its files and its process table show it.
class Churn {
 public:
  Churn(std::mt19937_64& random, FakeClock& clock) : random_(random), clock_(clock) {
    while (agents_.size() < kAgents) {
      add_agent();
    }
    home_.write_registry();
  }

  /// What happens in a minute.
  void pass() {
    bool registered = false;
    for (auto at = agents_.begin(); at != agents_.end();) {
      auto& [path, agent] = *at;
      age(agent.server);
      for (auto session = agent.sessions.begin(); session != agent.sessions.end();) {
        const auto pane = session->second;
        age(pane);
        if (chance(10)) {
          FakeHome::write_session(path, session->first, "completed");
          std::filesystem::remove(FakeHome::session_path(path, session->first));
          end(pane);
          session = agent.sessions.erase(session);
        } else {
          ++session;
        }
      }
      if (agent.sessions.size() < 4 && chance(30)) {
        const auto id = "s" + std::to_string(++names_);
        FakeHome::write_session(path, id, "running");
        agent.sessions[id] = begin(kTmux);
      }
      if (chance(4)) {
        for (const auto& [id, pane] : agent.sessions) {
          end(pane);
        }
        end(agent.server);
        const std::string gone = path;
        std::filesystem::remove_all(gone);
        std::erase_if(home_.entries, [&](const auto& entry) { return entry.path == gone; });
        at = agents_.erase(at);
        registered = true;
      } else {
        ++at;
      }
    }
    while (agents_.size() < kAgents) {
      add_agent();
    }
    if (registered) {
      home_.write_registry();
    }
    std::vector<Pid> orphans;
    for (const auto& [pid, process] : processes_) {
      if (process.parent == 1 && !is_server(pid) && chance(20)) {
        orphans.push_back(pid);
      }
    }
    for (const auto pid : orphans) {
      end(pid);
    }
  }

  [[nodiscard]] ProcessTable look() const {
    std::vector<TreeProcess> tree{{.pid = 1, .name = "init"},
                                  {.pid = kTmux, .parent = 1, .name = "tmux: server"},
                                  {.pid = ::getpid(), .parent = 1, .name = "fleetledger"}};
    for (const auto& [pid, process] : processes_) {
      tree.push_back(process);
    }
    for (auto& process : tree) {
      process.owner = ::geteuid();
    }
    return test::look(clock_.monotonic_now.time_since_epoch(), tree, 10ms, 0s);
  }
  [[nodiscard]] std::vector<Pane> panes() const {
    std::vector<Pane> found;
    for (const auto& [path, agent] : agents_) {
      for (const auto& [id, pane] : agent.sessions) {
        found.push_back({.tmux_server = kTmux, .pid = pane, .session = "tmux-" + id});
      }
    }
    return found;
  }

  [[nodiscard]] const FakeHome& home() const { return home_; }
  [[nodiscard]] std::size_t processes() const { return processes_.size(); }
  [[nodiscard]] std::size_t sessions() const { return panes().size(); }

 private:
  struct Agent {
    Pid server = 0;
    std::map<std::string, Pid> sessions;  ///< their panes
  };

  bool chance(int percent) { return soak::pick(random_, 1, 100) <= percent; }

  void add_agent() {
    const auto name = "agent" + std::to_string(++names_);
    const auto path = home_.add(name);
    std::filesystem::create_directories(path + "/.instar/state/sessions");
    if (chance(20)) {  // whose ledger can never be written
      std::filesystem::create_directories(path + "/.instar/server-data/resource-ledger.db");
    }
    const auto server = begin(1);
    home_.entries.back().pid = server;
    home_.entries.back().heartbeat = "2100-01-01T00:00:00.000Z";
    agents_[path] = {server, {}};
  }
  [[nodiscard]] bool is_server(Pid pid) const {
    return std::any_of(agents_.begin(), agents_.end(), [&](const auto& agent) { return agent.second.server == pid; });
  }

  /// Pids come round again, as the kernel's do.
  Pid begin(Pid parent) {
    do {
      last_pid_ = last_pid_ >= 3000 ? 100 : last_pid_ + 1;
    } while (processes_.contains(last_pid_) || last_pid_ == ::getpid());
    processes_[last_pid_] = {.pid = last_pid_,
                             .parent = parent,
                             .start = clock_.monotonic_now.time_since_epoch() + Micros{1},
                             .name = "node"};
    return last_pid_;
  }
  /// Its children go to pid 1, and its time to its parent.
  void end(Pid pid) {
    const auto process = processes_.at(pid);
    processes_.erase(pid);
    if (const auto parent = processes_.find(process.parent); parent != processes_.end()) {
      parent->second.reaped += process.own + process.reaped;
    }
    for (auto& [other, child] : processes_) {
      child.parent = child.parent == pid ? 1 : child.parent;
    }
  }
  /// A minute of a root: it works, and its children come and go.
  void age(Pid root) {
    processes_.at(root).own += Micros{soak::pick(random_, 0, 1'000'000)};
    std::vector<Pid> children;
    for (auto& [pid, process] : processes_) {
      if (process.parent == root) {
        process.own += 10ms;
        children.push_back(pid);
      }
    }
    for (const auto child : children) {
      if (chance(40)) {
        end(child);
      }
    }
    if (children.size() < 5) {
      begin(root);
    }
  }

  std::mt19937_64& random_;
  FakeClock& clock_;
  FakeHome home_;
  std::map<std::string, Agent> agents_;  ///< by path
  std::map<Pid, TreeProcess> processes_;
  Pid last_pid_ = 100;
  std::uint64_t names_ = 0;
};

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator folder("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(folder), end(folder)));
}

double resident_mib() {
  std::size_t all = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20U);
}

/// What is in use of the heap.
double heap_mib() { return static_cast<double>(::mallinfo2().uordblks) / (1 << 20U); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

TEST_CASE("however many agents, sessions and processes come and go, what is kept is of those that live") {
  const auto ticks = soak::parameter("SOAK_TICKS", 2'000);
  const bool is_long = ticks >= 50'000;
  auto random = soak::seeded();
  for (const std::string backend : {"sqlite", "memory"}) {
    DYNAMIC_SECTION(backend) {
      log::set_level(LogLevel::error);
      const TempDir central;
      FakeClock clock;
      clock.wall_now = wall();
      FakeRuntime loop(clock);
      Churn churn(random, clock);
      Discovery discovery(churn.home().options());
      FakeProcessSource processes;
      FakePaneSource panes;
      const auto environments = std::make_shared<FakeEnvironmentSource>();
      const auto store = *open_store(backend, {.central_directory = central / "ledgers"});
      StoreLane lane(*store, loop.runtime(), clock, [](const LedgerKey& ledger, const StoreLane::Health& health) {
        log::warning_once("ledger_failed", ledger.agent.id, health.error ? health.error->text : "");
      });
      Collector collector(
          {.processes = processes,
           .panes = panes,
           .environments = environments,
           .read_fleet = [&](Depth depth,
                             auto then) { then(discovery.refresh(std::max(depth, Depth::changed), clock.wall_now)); },
           .ledgers = &lane,
           .clock = clock,
           .runtime = loop.runtime()},
          {.metrics_sessions = 20});

      std::printf("%s\n%8s %8s %8s %8s %9s %8s %8s\n", backend.c_str(), "tick", "RSS MiB", "heap MiB", "handles",
                  "processes", "tracked", "ledgers");
      std::vector<double> heaps;  // at a thousand moments
      std::size_t most_descriptors = 0;
      for (std::uint64_t tick = 0; tick < ticks; ++tick) {
        churn.pass();
        panes.panes = churn.panes();
        processes.next.emplace_back(churn.look());
        collector.tick();
        loop.run_jobs();
        environments->asked.clear();
        if (const auto& fleet = collector.fleet(); !fleet->agents.empty()) {
          (void)store->summary(ledger_of(fleet->agents[tick % fleet->agents.size()]), clock.wall_now - 1h);
        }
        loop.advance(1min);
        loop.run_jobs();

        const auto live = collector.fleet()->agents.size();
        const auto& counters = collector.fleet_counters();
        if (live != kAgents || collector.snapshot()->agents.size() != live || lane.tracked() > live + 1 ||
            collector.meter().last_look().size() != churn.processes() + 3 ||
            collector.meter().membership().size() > churn.processes() ||
            collector.meter().tracked_sources() > 8 * (churn.sessions() + 2 * live) ||
            collector.declarations().size() > churn.processes() + 3 || counters.agents().size() > live + 1000 ||
            counters.sessions().size() > 20 || lane.remembered() > 1000 || log::remembered() > live) {
          CAPTURE(backend, tick, live, collector.snapshot()->agents.size(), lane.tracked(), lane.remembered(),
                  churn.processes(), churn.sessions(), collector.meter().membership().size(),
                  collector.meter().tracked_sources(), collector.declarations().size(), counters.agents().size(),
                  counters.sessions().size(), log::remembered());
          FAIL("something is kept of what has gone");
        }
        most_descriptors = std::max(most_descriptors, open_descriptors());
        if (tick % std::max<std::uint64_t>(ticks / 1000, 1) == 0) {
          heaps.push_back(heap_mib());
        }
        if (tick % std::max<std::uint64_t>(ticks / 20, 1) == 0) {
          const auto resident = resident_mib();
          std::printf("%8llu %8.2f %8.3f %8zu %9zu %8zu %8zu  %s\n", static_cast<unsigned long long>(tick), resident,
                      heap_mib(), open_descriptors(), churn.processes(), collector.meter().membership().size(),
                      lane.tracked(), std::string(static_cast<std::size_t>(resident), '#').c_str());
          std::fflush(stdout);
        }
      }
      // Four for each ledger that is open for writing and one or two for its reader, and what any program has.
      CHECK(most_descriptors < 8 * kAgents + 32);
      std::uint64_t written = 0;
      for (const auto& [id, counted] : collector.fleet_counters().agents()) {
        written += lane.counted(id).rows;
      }
      CHECK(written > 0);
      // A quarter is long enough for what is remembered of the gone to be full. One moment says little: how much the
      // memory backend keeps of the gone depends on how long they lived.
      const auto quarter = static_cast<std::ptrdiff_t>(heaps.size() / 4);
      const auto early = median({heaps.begin() + quarter, heaps.begin() + 2 * quarter});
      const auto late = median({heaps.end() - quarter, heaps.end()});
      std::printf(
          "heap, median of the second and of the last quarter: %.3f and %.3f MiB; RSS at the end %.2f MiB; handles at "
          "most %zu\n",
          early, late, resident_mib(), most_descriptors);
      if (is_long) {
        CHECK(late < early + 0.2);
      }
    }
  }
}
