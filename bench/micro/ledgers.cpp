#include <array>
#include <benchmark/benchmark.h>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unistd.h>

#include "backends/backends.h"

namespace fleetledger::bench {
namespace {

using std::chrono::hours;

constexpr int kSources = 7;
constexpr WallTime kNow{std::chrono::milliseconds{1'790'000'000'000}};
constexpr std::chrono::minutes kStep{1};

AgentTick tick_at(WallTime ts, int minutes = 1) {
  AgentTick tick;
  for (int minute = 0; minute < minutes; ++minute) {
    for (int source = 0; source < kSources; ++source) {
      Sample sample;
      sample.ts = ts + kStep * minute;
      sample.source = source == 0 ? std::string(kAggregateSource) : "session:s" + std::to_string(source);
      sample.cpu_percent = static_cast<double>((minute * 7 + source * 13) % 1000) / 10;
      sample.resident = Bytes{50 << 20};
      sample.interval = std::chrono::duration_cast<Micros>(kStep);
      sample.usage = Usage{Micros{15'000}};
      sample.processes = 3;
      tick.samples.push_back(std::move(sample));
    }
  }
  return tick;
}

/// A store of one kind with a ledger of so many hours up to kNow, a row a minute for each of seven sources.
struct Filled {
  std::filesystem::path folder;
  std::unique_ptr<LedgerStore> store;
  LedgerKey ledger;

  Filled(const Backend& backend, std::int64_t last_hours) {
    std::string name = (std::filesystem::temp_directory_path() / "fleetledger-micro-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return;
    folder = std::filesystem::canonical(name);
    std::filesystem::create_directories(folder / "agent/.instar");
    const auto path = (folder / "agent").string();
    ledger = {{agent_id("agent", path), "agent", path}, LedgerLocation::agent};
    auto opened = backend.open({.central_directory = folder / "central", .rows_per_ledger = 1'000'000});
    if (!opened) return;
    for (auto hour = last_hours; hour > 0; --hour) {
      if (!(*opened)->append(ledger, tick_at(kNow - hours{hour}, 60))) return;
    }
    store = std::move(*opened);
  }
  Filled(const Filled&) = delete;
  Filled& operator=(const Filled&) = delete;
  ~Filled() {
    store.reset();
    std::error_code ignored;
    if (!folder.empty()) std::filesystem::remove_all(folder, ignored);
  }
};

/// The one that the benchmarks before used too, if it is the same: they come in the order of kinds and lengths.
Filled& filled(benchmark::State& state) {
  static std::map<std::pair<std::int64_t, std::int64_t>, std::unique_ptr<Filled>> known;
  const std::pair key{state.range(0), state.range(1)};
  if (!known.contains(key)) known.clear();
  auto& found = known[key];
  if (!found) found = std::make_unique<Filled>(backends()[static_cast<std::size_t>(key.first)], key.second);
  return *found;
}

bool good(benchmark::State& state, const Filled& ledger) {
  state.SetLabel(std::string(backends()[static_cast<std::size_t>(state.range(0))].name));
  if (!ledger.store) state.SkipWithError("the ledger cannot be filled");
  return ledger.store != nullptr;
}

void summary_of_all(benchmark::State& state) {
  auto& ledger = filled(state);
  if (!good(state, ledger)) return;
  const auto since = kNow - hours{state.range(1)};
  for (auto _ : state) {
    // One row more each time: what has been asked before is asked again.
    state.PauseTiming();
    static int minute = 0;
    auto tick = tick_at(kNow + kStep * ++minute);
    tick.samples.resize(1);
    benchmark::DoNotOptimize(ledger.store->append(ledger.ledger, tick));
    state.ResumeTiming();
    benchmark::DoNotOptimize(ledger.store->summary(ledger.ledger, since));
  }
}

void append_of_a_tick(benchmark::State& state) {
  auto& ledger = filled(state);
  if (!good(state, ledger)) return;
  static int minute = 1'000'000;
  for (auto _ : state) {
    state.PauseTiming();
    const auto tick = tick_at(kNow + kStep * ++minute);
    state.ResumeTiming();
    benchmark::DoNotOptimize(ledger.store->append(ledger.ledger, tick));
  }
}

/// Both of one ledger before the next is filled; the appending last, as it adds rows without end.
bool register_all() {
  struct Step {
    const char* name;
    void (*run)(benchmark::State&);
  };
  constexpr std::array kSteps{Step{"summary_of_all", summary_of_all}, Step{"append_of_a_tick", append_of_a_tick}};
  for (std::size_t backend = 0; backend < backends().size(); ++backend) {
    for (const std::int64_t length : {1, 24, 7 * 24, 90 * 24}) {
      for (const auto& step : kSteps) {
        benchmark::RegisterBenchmark(step.name, step.run)
            ->ArgNames({"backend", "hours"})
            ->Args({static_cast<std::int64_t>(backend), length})
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
  return true;
}
const bool kRegistered = register_all();

}  // namespace
}  // namespace fleetledger::bench
