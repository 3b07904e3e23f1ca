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
#include "bench/harness/scrape.h"
#include "collector/http/client.h"

namespace fleetledger::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kPeriod{1};
constexpr int kWarmUp = 4;
constexpr int kUndisturbed = 6;
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

std::uintmax_t ledger_bytes(const std::string& fleet) {
  std::uintmax_t sum = 0;
  std::error_code ignored;
  for (const auto& agent : std::filesystem::directory_iterator(fleet + "/home/.instar/agents", ignored)) {
    for (const auto& file : std::filesystem::directory_iterator(agent.path() / ".instar/server-data", ignored)) {
      if (file.path().extension() != ".db-shm") sum += file.file_size(ignored);
    }
  }
  return sum;
}

/// Up to the end of the next tick.
void await_tick() {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(steady_clock::now() - kTickIsOver);
  std::this_thread::sleep_until(seconds + kPeriod + kTickIsOver);
}

struct Reading {
  double own_before_scrape = 0;
  double own = 0;  ///< after it
  Series series;

  [[nodiscard]] double children() const {
    return value_of(series, "fleetledger_collector_cpu_seconds_total{part=\"children\"}") * 1e3;
  }
  [[nodiscard]] double ticks() const { return value_of(series, "fleetledger_tick_duration_seconds_count"); }
  [[nodiscard]] double rows() const { return sum_of(series, "fleetledger_ledger_rows_total{"); }
};

Result<Reading> read(pid_t pid, const std::string& address) {
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

Result<Metered> meter_fleet(const MeteredOptions& options, const std::function<Result<void>()>& between) {
  auto collector = start_collector(options);
  if (!collector) return fail(collector.error());
  const auto& address = collector->address;
  const auto pid = collector->program.pid();
  Metered result;
  result.source = options.source;
  result.start_up_ms = collector->start_up_ms;
  for (int i = 0; i < kWarmUp; ++i) await_tick();

  auto first = read(pid, address);
  if (!first) return fail(first.error());
  const auto bytes_before = ledger_bytes(options.fleet);
  auto last = *first;
  std::vector<double> own;
  std::vector<double> children;
  std::vector<double> together;
  for (int i = 0; i < 3 * options.ticks && own.size() < static_cast<std::size_t>(options.ticks); ++i) {
    await_tick();
    auto now = read(pid, address);
    if (!now) return fail(now.error());
    if (now->ticks() - last.ticks() == 1) {  // else one came late, or one more because a file changed
      own.push_back(now->own_before_scrape - last.own);
      children.push_back(now->children() - last.children());
      together.push_back(own.back() + children.back());
    }
    last = std::move(*now);
    if (between) {
      if (auto done = between(); !done) return fail(done.error());
    }
  }
  if (own.size() < 5) return fail("meter a fleet: the ticks do not come in time; is the machine too busy?");
  const auto ticks = last.ticks() - first->ticks();
  result.agents = static_cast<std::uint64_t>(sum_of(last.series, "fleetledger_agents{"));
  result.processes = count_processes();
  result.rows = (last.rows() - first->rows()) / ticks;
  result.own = spread_of(std::move(own));
  result.children = spread_of(std::move(children));
  result.together = spread_of(std::move(together));
  result.wall_ms = growth_of("fleetledger_tick_duration_seconds", first->series, last.series, 0).mean * 1e3;

  // What is measured beside takes the cores from the loop: its turns are those of ticks that have the host to
  // themselves.
  auto quiet = read(pid, address);
  if (!quiet) return fail(quiet.error());
  for (int i = 0; i < kUndisturbed; ++i) await_tick();
  const auto end = read(pid, address);
  if (!end) return fail(end.error());
  const auto lag = growth_of("fleetledger_loop_lag_seconds", quiet->series, end->series, kLongTurn);
  result.lag_mean_ms = lag.mean * 1e3;
  result.lag_highest_ms = lag.highest * 1e3;
  result.lag_above_10_ms = lag.above;
  result.turns = lag.values;
  result.ledger_kib = static_cast<double>(ledger_bytes(options.fleet) - bytes_before) / 1024 / ticks;
  const auto resident = resident_of(pid);
  if (!resident) return fail("meter a fleet: fleetledger ended");
  result.resident_mib = static_cast<double>(resident->value) / (1 << 20);
  return result;
}

}  // namespace fleetledger::bench
