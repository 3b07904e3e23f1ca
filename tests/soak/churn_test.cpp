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
#include "collector/events/sentinel_log.h"
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
constexpr std::size_t kMostAway = 3;

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
      if (!agent.log_is_bad && chance(40)) {
        say(path, agent);
      }
      if (!agent.log_is_bad && chance(3)) {
        spoil_log(path, agent);
      } else if (chance(agent.log_is_bad ? 30 : 4)) {
        leave(path, agent);
        at = agents_.erase(at);
        registered = true;
        continue;
      }
      ++at;
    }
    while (agents_.size() < kAgents) {
      if (!away_.empty() && chance(50)) {
        come_back();
      } else {
        add_agent();
      }
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
  [[nodiscard]] std::size_t returns() const { return returns_; }

  struct Agent {
    Pid server = 0;
    std::map<std::string, Pid> sessions{};  ///< their panes
    bool has_ledger = true;                 ///< one that can be written
    bool log_is_bad = false;
    std::vector<WallTime> said{};  ///< the events in its log, older ones of it included
  };
  /// By path.
  [[nodiscard]] const std::map<std::string, Agent>& agents() const { return agents_; }

 private:
  static std::string log_of(const std::string& path) { return path + "/logs/sentinel-events.jsonl"; }

  void say(const std::string& path, Agent& agent) {
    std::filesystem::create_directories(path + "/logs");
    std::ofstream(log_of(path), std::ios::app)
        << R"({"sentinel":"rate-limit","kind":"throttle-detected","sessionName":"s","timestamp":)"
        << clock_.wall_now.time_since_epoch().count() << "}\n";
    agent.said.push_back(clock_.wall_now);
  }
  /// Its log is renamed, and what stands in its place cannot be read.
  static void spoil_log(const std::string& path, Agent& agent) {
    agent.log_is_bad = true;
    const auto log = log_of(path);
    if (std::filesystem::exists(log)) {
      int last = 1;
      while (std::filesystem::exists(log + '.' + std::to_string(last))) ++last;
      for (; last > 1; --last) {
        std::filesystem::rename(log + '.' + std::to_string(last - 1), log + '.' + std::to_string(last));
      }
      std::filesystem::rename(log, log + ".1");
    }
    std::filesystem::create_directories(log);
  }
  /// For good, or, if its log is bad, until it comes back.
  void leave(const std::string& path, Agent& agent) {
    for (const auto& [id, pane] : agent.sessions) {
      FakeHome::write_session(path, id, "completed");
      end(pane);
    }
    agent.sessions.clear();
    end(agent.server);
    const auto entry = std::find_if(home_.entries.begin(), home_.entries.end(),
                                    [&](const auto& registered) { return registered.path == path; });
    if (agent.log_is_bad && away_.size() < kMostAway) {
      away_.emplace_back(*entry, std::move(agent));
    } else {
      std::filesystem::remove_all(path);
    }
    home_.entries.erase(entry);
  }
  /// With a log that can be read.
  void come_back() {
    auto [entry, agent] = std::move(away_.front());
    away_.erase(away_.begin());
    std::filesystem::remove(log_of(entry.path));
    agent.log_is_bad = false;
    agent.server = entry.pid = begin(1);
    home_.entries.push_back(entry);
    agents_[entry.path] = std::move(agent);
    ++returns_;
  }

  bool chance(int percent) { return soak::pick(random_, 1, 100) <= percent; }

  void add_agent() {
    const auto name = "agent" + std::to_string(++names_);
    const auto path = home_.add(name);
    std::filesystem::create_directories(path + "/.instar/state/sessions");
    const bool has_ledger = !chance(20);
    if (!has_ledger) {  // it can never be written
      std::filesystem::create_directories(path + "/.instar/server-data/resource-ledger.db");
    }
    const auto server = begin(1);
    home_.entries.back().pid = server;
    home_.entries.back().heartbeat = "2100-01-01T00:00:00.000Z";
    agents_[path] = {.server = server, .has_ledger = has_ledger};
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
  std::map<std::string, Agent> agents_;                  ///< by path
  std::vector<std::pair<FakeHome::Entry, Agent>> away_;  ///< those that come back
  std::size_t returns_ = 0;
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
  const auto ticks = soak::parameter("SOAK_TICKS", 1'000);
  const bool is_long = ticks >= 5'000;
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
           .runtime = loop.runtime(),
           .events = EventSources{*store, read_sentinel_log, {}}},
          {.metrics_sessions = 20});

      std::printf("%s\n%8s %8s %8s %8s %9s %8s %8s\n", backend.c_str(), "tick", "RSS MiB", "heap MiB", "handles",
                  "processes", "tracked", "ledgers");
      std::vector<double> heaps;  // at a thousand moments
      std::vector<double> handles;
      std::size_t problems = 0;  ///< of logs, that were told
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
            counters.sessions().size() > 20 || lane.remembered() > 1000 || log::remembered() > 2 * live) {
          CAPTURE(backend, tick, live, collector.snapshot()->agents.size(), lane.tracked(), lane.remembered(),
                  churn.processes(), churn.sessions(), collector.meter().membership().size(),
                  collector.meter().tracked_sources(), collector.declarations().size(), counters.agents().size(),
                  counters.sessions().size(), log::remembered());
          FAIL("something is kept of what has gone");
        }
        most_descriptors = std::max(most_descriptors, open_descriptors());
        if (tick % std::max<std::uint64_t>(ticks / 1000, 1) == 0) {
          heaps.push_back(heap_mib());
          handles.push_back(static_cast<double>(open_descriptors()));
        }
        for (const auto& agent : collector.snapshot()->agents) {
          problems += agent.events_problem.empty() ? 0 : 1;
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
      // The events of those that live, also of those that went away with a log that could not be read: each once,
      // but for the last that was said.
      CHECK(problems > 0);
      CHECK(churn.returns() > 0);
      std::size_t events = 0;
      for (const auto& agent : collector.fleet()->agents) {
        const auto& known = churn.agents().at(agent.identity.path);
        if (!known.has_ledger) {
          continue;
        }
        const auto report = store->rate_limit_report(ledger_of(agent), {});
        REQUIRE(report);
        const auto all = known.said.size();
        const auto told = report->events.size();
        const bool late = !known.said.empty() && known.said.back() + 3min > clock.wall_now;
        CAPTURE(backend, agent.identity.path, all, told);
        CHECK(told <= all);
        CHECK(told + (late ? 2 : 0) >= all);
        events += told;
      }
      CHECK(events > 0);
      // What is remembered of the gone is full after some 3,000 ticks. One moment says little: how much the memory
      // backend keeps of the gone depends on how long they lived.
      const auto step = std::max<std::uint64_t>(ticks / 1000, 1);
      const auto warm = std::min(heaps.size() / 2, std::max<std::size_t>(heaps.size() / 4, 4'000 / step));
      const auto middle = warm + (heaps.size() - warm) / 2;
      const auto early_and_late = [&](const std::vector<double>& values) {
        const auto at = [&](std::size_t place) { return values.begin() + static_cast<std::ptrdiff_t>(place); };
        return std::pair(median({at(warm), at(middle)}), median({at(middle), values.end()}));
      };
      const auto [early, late] = early_and_late(heaps);
      const auto [early_handles, late_handles] = early_and_late(handles);
      std::printf(
          "heap, median of the first and of the second half after the warm-up: %.3f and %.3f MiB; handles %.0f and "
          "%.0f, at most %zu; RSS at the end %.2f MiB; %zu agents came back\n",
          early, late, early_handles, late_handles, most_descriptors, resident_mib(), churn.returns());
      if (is_long) {
        CHECK(late < early + 0.2 + early / 20);
        CHECK(late_handles < early_handles + 6);
      }
    }
  }
}
