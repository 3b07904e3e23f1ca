#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include "bench/idle_children.h"
#include "collector/meter.h"
#include "collector/sources/procfs_source.h"

namespace fleetledger::bench {
namespace {

/// Every tenth stands for a source of an agent's.
ResolvedRoots roots_of(const std::vector<pid_t>& children, const ProcessTable& table) {
  ResolvedRoots resolved;
  resolved.metered.push_back({1, 0});
  for (std::size_t i = 0; i < children.size(); i += 10) {
    const auto* reading = table.find(children[i]);
    const Claim claim{1, static_cast<std::uint32_t>(i + 1)};
    if (reading == nullptr) continue;
    resolved.roots.claims.emplace(reading->key, claim);
    resolved.named.push_back({claim, 0, "session:" + std::to_string(i), reading->key.pid, {}});
  }
  return resolved;
}

/// A source that keeps hardly any descriptor open if few are allowed while it is made: a quarter of them.
std::unique_ptr<ProcessSource> open_proc(bool keep_descriptors) {
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit few = before;
  few.rlim_cur = 16;
  if (!keep_descriptors) setrlimit(RLIMIT_NOFILE, &few);
  auto source = make_procfs_source();
  setrlimit(RLIMIT_NOFILE, &before);
  return source ? std::move(*source) : nullptr;
}

void look_at_proc(benchmark::State& state) {
  const IdleChildren children(static_cast<std::size_t>(state.range(0)));
  const auto source = open_proc(state.range(1) != 0);
  std::size_t processes = 0;
  for (auto _ : state) {
    source->look([&](const Result<ProcessTable>& table) { processes = table ? table->size() : 0; });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(processes));
}
BENCHMARK(look_at_proc)
    ->ArgNames({"children", "kept"})
    ->ArgsProduct({{100, 1'000}, {0, 1}})
    ->Unit(benchmark::kMillisecond);

void look_and_attribute(benchmark::State& state) {
  const IdleChildren children(static_cast<std::size_t>(state.range(0)));
  const auto source = open_proc(true);
  Meter meter(Scope::tree);
  for (auto _ : state) {
    source->look([&](Result<ProcessTable> table) {
      const auto roots = roots_of(children.pids(), *table);
      meter.look(std::move(*table), roots);
    });
    benchmark::DoNotOptimize(meter.take(1));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(meter.last_look().size()));
}
BENCHMARK(look_and_attribute)->ArgName("children")->Arg(900)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fleetledger::bench
