#include "bench/harness/metered.h"

#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "bench/harness/process_clock.h"
#include "bench/harness/programs.h"
#include "collector/http/client.h"

namespace fleetledger::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kPeriod{1};
constexpr int kWarmUp = 8;  // 500 ledgers are made in three
constexpr std::size_t kFewestTicks = 5;
constexpr std::chrono::seconds kPatience{30};
constexpr double kLongTurn = 0.01;

Result<void> write_config(const MeteredOptions& options) {
  std::ofstream out(options.folder + "/config.yaml");
  out << "sampling:\n  source: " << options.source << "\n  sample_interval: 1s\n  idle_sample_interval: 1s\n";
  if (!options.tmux.empty()) out << "  tmux: \"" << options.tmux << "\"\n";
  out << "http:\n  listen: [\"unix:" << options.folder << "/http\"]\n  metrics_auth: none\n  operator_token_file: \""
      << options.folder << "/token\"\n"
      << options.more;
  out.close();
  return out ? Result<void>{} : fail("write " + options.folder + "/config.yaml");
}

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_ready(const std::string& address) {
  const auto answer = http_get({.address = address, .target = "/readyz", .headers = {}, .before_sending = {}});
  return answer && answer->status == 200;
}

std::int64_t ledger_bytes(const std::string& fleet) {
  std::int64_t sum = 0;
  std::error_code ignored;
  for (const auto& agent : std::filesystem::directory_iterator(fleet + "/home/.instar/agents", ignored)) {
    for (const auto& file : std::filesystem::directory_iterator(agent.path() / ".instar/server-data", ignored)) {
      if (file.path().extension() == ".db-shm") continue;
      const auto size = file.file_size(ignored);
      if (!ignored) sum += static_cast<std::int64_t>(size);
    }
  }
  return sum;
}

/// Up to the end of the next tick.
void await_tick() {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(steady_clock::now() - kTickIsOver);
  std::this_thread::sleep_until(seconds + kPeriod + kTickIsOver);
}

double children_ms(const Reading& reading) {
  return value_of(reading.series, "fleetledger_collector_cpu_seconds_total{part=\"children\"}") * 1e3;
}
double ticks(const Reading& reading) { return value_of(reading.series, "fleetledger_tick_duration_seconds_count"); }
double rows(const Reading& reading) { return sum_of(reading.series, "fleetledger_ledger_rows_total{"); }

/// Else one came late, or one more because a file changed.
bool one_tick_apart(const Reading& before, const Reading& after) { return ticks(after) - ticks(before) == 1; }

Result<Reading> read(pid_t pid, const std::string& address, const std::string& fleet) {
  const auto gone = [] { return fail("meter a fleet: fleetledger ended"); };
  Reading reading;
  const auto before = cpu_ms_of(pid);
  if (!before) return gone();
  auto series = scrape(address);
  if (!series) return fail(series.error());
  const auto after = cpu_ms_of(pid);
  if (!after) return gone();
  reading.own_before_scrape = *before;
  reading.own = *after;
  reading.series = std::move(*series);
  reading.ledger_bytes = ledger_bytes(fleet);
  return reading;
}

}  // namespace

Result<StartedCollector> start_collector(const MeteredOptions& options) {
  std::filesystem::create_directories(options.folder);
  if (auto written = write_config(options); !written) return fail(written.error());
  const auto address = "unix:" + options.folder + "/http";
  const auto started = steady_clock::now();
  auto program =
      RunningProgram::start({options.program, "run", "--config", options.folder + "/config.yaml"},
                            {.output = "/dev/null", .errors = options.folder + "/log"},
                            {"HOME=" + options.fleet + "/home", "XDG_STATE_HOME=" + options.folder + "/state",
                             "FLEETLEDGER_LOG_LEVEL=warning"});
  if (!program) return fail(program.error());
  while (!is_ready(address)) {
    if (!program->runs()) return fail("meter a fleet: fleetledger ended: " + text_of(options.folder + "/log"));
    if (steady_clock::now() - started > kPatience) return fail("meter a fleet: fleetledger does not become ready");
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  const auto took = std::chrono::duration<double, std::milli>(steady_clock::now() - started).count();
  return StartedCollector{std::move(*program), address, took};
}

Result<Metered> metered_of(const Reading& ready, const std::vector<Reading>& settled) {
  std::vector<double> own;
  std::vector<double> children;
  std::vector<double> together;
  for (std::size_t i = 1; i < settled.size(); ++i) {
    const auto& before = settled[i - 1];
    const auto& after = settled[i];
    if (!one_tick_apart(before, after)) continue;
    own.push_back(after.own_before_scrape - before.own);
    children.push_back(children_ms(after) - children_ms(before));
    together.push_back(own.back() + children.back());
  }
  if (own.size() < kFewestTicks) {
    return fail("meter a fleet: the ticks do not come in time; is the machine too busy?");
  }
  const auto& first = settled.front();
  const auto& last = settled.back();
  const double passed = ticks(last) - ticks(first);
  Metered result;
  result.agents = static_cast<std::uint64_t>(sum_of(last.series, "fleetledger_agents{"));
  result.rows = (rows(last) - rows(first)) / passed;
  result.own = spread_of(std::move(own));
  result.children = spread_of(std::move(children));
  result.together = spread_of(std::move(together));
  result.wall_ms = growth_of("fleetledger_tick_duration_seconds", first.series, last.series, 0).mean * 1e3;
  const auto lag = growth_of("fleetledger_loop_lag_seconds", ready.series, last.series, kLongTurn);
  result.lag_mean_ms = lag.mean * 1e3;
  result.lag_highest_ms = lag.highest * 1e3;
  result.lag_above_10_ms = lag.above;
  result.turns = lag.values;
  const auto work = growth_of("fleetledger_loop_work_seconds", ready.series, last.series, kLongTurn);
  result.work_highest_ms = work.highest * 1e3;
  result.work_above_10_ms = work.above;
  result.ledger_kib = static_cast<double>(last.ledger_bytes - first.ledger_bytes) / 1024 / passed;
  return result;
}

Result<Metered> meter_fleet(const MeteredOptions& options, const std::function<Result<void>()>& between) {
  auto collector = start_collector(options);
  if (!collector) return fail(collector.error());
  const auto pid = collector->program.pid();
  const auto now = [&] { return read(pid, collector->address, options.fleet); };
  const auto ready = now();
  if (!ready) return fail(ready.error());
  for (int i = 0; i < kWarmUp; ++i) await_tick();
  auto first = now();
  if (!first) return fail(first.error());
  std::vector<Reading> settled{std::move(*first)};
  for (int i = 0, single = 0; i < 3 * options.ticks && single < options.ticks; ++i) {
    await_tick();
    auto reading = now();
    if (!reading) return fail(reading.error());
    if (one_tick_apart(settled.back(), *reading)) ++single;
    settled.push_back(std::move(*reading));
    if (between) {
      if (auto done = between(); !done) return fail(done.error());
    }
  }
  auto result = metered_of(*ready, settled);
  if (!result) return result;
  result->source = options.source;
  result->start_up_ms = collector->start_up_ms;
  result->processes = count_processes();
  const auto resident = resident_of(pid);
  if (!resident) return fail("meter a fleet: fleetledger ended");
  result->resident_mib = static_cast<double>(resident->value) / (1 << 20);
  return result;
}

}  // namespace fleetledger::bench
