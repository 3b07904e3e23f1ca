#include <benchmark/benchmark.h>

#include "bench/micro/host.h"
#include "core/charge.h"

namespace fleetledger::bench {
namespace {

void charge_processes(benchmark::State& state) {
  const auto host = busy_host(static_cast<std::size_t>(state.range(0)));
  const auto agents = host.roots.claims.size() / 5;
  Membership at_first;
  static_cast<void>(charge({}, host.before, host.roots, at_first));
  for (auto _ : state) {
    state.PauseTiming();
    auto membership = at_first;
    state.ResumeTiming();
    benchmark::DoNotOptimize(charge(host.before, host.now, host.roots, membership));
  }
  state.counters["agents"] = static_cast<double>(agents);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(charge_processes)->Arg(1'000)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fleetledger::bench
