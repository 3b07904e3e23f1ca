#include <benchmark/benchmark.h>
#include <string>

#include "collector/sources/proc_stat.h"
#include "collector/sources/ps_parser.h"

namespace fleetledger::bench {
namespace {

void parse_ps_line(benchmark::State& state) {
  constexpr int kLines = 1'000;
  std::string output;
  for (int i = 0; i < kLines; ++i) {
    output += "   7236     999  1000      94       70   1:11 74.737 75.105 75.1  2048 R    work\n";
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_linux_ps(output));
  }
  state.SetItemsProcessed(state.iterations() * kLines);
}
BENCHMARK(parse_ps_line);

void parse_stat_line(benchmark::State& state) {
  const std::string line =
      "7236 (work) R 999 7236 7236 34816 7236 4194304 1520 38211 0 3 6921 132 1780 401 20 0 1 0 8812344 9166848 512 "
      "18446744073709551615 94216 94233 140 0 0 0 65536 3686404 1266761467 1 0 0 17 1 0 0 0 0 0 94 95 96 97 98 99 1 "
      "0\n";
  for (auto _ : state) {
    benchmark::DoNotOptimize(parse_proc_stat(line));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(parse_stat_line);

}  // namespace
}  // namespace fleetledger::bench
