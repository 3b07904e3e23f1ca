#include <benchmark/benchmark.h>
#include <string>

#include "collector/api/ledger_json.h"
#include "collector/api/metrics.h"
#include "collector/metrics_view.h"
#include "config/agent_config.h"
#include "config/parse_config.h"

namespace fleetledger::bench {
namespace {

void read_config(benchmark::State& state) {
  std::string text = "sampling: {source: procfs, scope: tree}\nhttp: {listen: [\"127.0.0.1:4100\"]}\n";
  text += "discovery:\n  overrides:\n";
  for (int i = 0; i < 20; ++i) text += "    agent-" + std::to_string(i) + ": {sample_interval: 30s}\n";
  constexpr std::string_view kBackend = "sqlite";
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        parse_config({.text = text, .file = "config.yaml", .environment = {}, .backends = {&kBackend, 1}}));
  }
}
BENCHMARK(read_config)->Unit(benchmark::kMicrosecond);

void read_agent_config(benchmark::State& state) {
  const std::string text =
      R"({"projectName":"echo","port":4042,"authToken":"0123456789abcdef0123456789abcdef","developmentAgent":true,)"
      R"("monitoring":{"resourceLedger":{"sampleIntervalMs":60000,"idleSampleIntervalMs":300000,"retentionDays":7}},)"
      R"("sessions":{"tmuxPath":"/usr/bin/tmux","protectedSessions":["echo-server"]}})";
  for (auto _ : state) benchmark::DoNotOptimize(parse_agent_config(text));
}
BENCHMARK(read_agent_config)->Unit(benchmark::kMicrosecond);

void render_summary(benchmark::State& state) {
  LedgerSummary summary;
  for (int i = 0; i < 7; ++i) {
    SourceSummary source;
    source.source = "session:s" + std::to_string(i);
    source.newest.source = source.source;
    source.avg_cpu_percent = 12.345 * i;
    summary.sources.push_back(std::move(source));
  }
  for (auto _ : state) benchmark::DoNotOptimize(summary_json(summary, {}));
}
BENCHMARK(render_summary)->Unit(benchmark::kMicrosecond);

void render_metrics(benchmark::State& state) {
  MetricsView view;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    AgentMetrics agent;
    const auto name = "agent-" + std::to_string(i);
    agent.counted.identity = {name + "-67d6cf25", name, "/home/ada/.instar/agents/" + name};
    view.agents.push_back(std::move(agent));
  }
  std::size_t size = 0;
  for (auto _ : state) size = metrics_text(view).size();
  state.counters["bytes"] = static_cast<double>(size);
}
BENCHMARK(render_metrics)->ArgName("agents")->Arg(10)->Arg(500)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace fleetledger::bench
