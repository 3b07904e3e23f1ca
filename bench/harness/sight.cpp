#include "bench/harness/sight.h"

#include <array>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include "bench/fleet/truth.h"
#include "bench/harness/fleet_description.h"
#include "bench/harness/peer_output.h"
#include "bench/harness/process_clock.h"
#include "bench/harness/programs.h"
#include "bench/harness/scrape.h"
#include "collector/api/json_writer.h"

namespace fleetledger::bench {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kIntervals = 4;
constexpr seconds kInterval{5};
constexpr seconds kSettle{3};
constexpr const char* kScrapeAddress = "127.0.0.1:19257";
constexpr const char* kGroup = "fleet";

/// The processes of the loads as tools show them: the load itself and its tools. Its shells, a twentieth of the whole,
/// have a name that others have too.
bool is_ours(std::string_view name) { return name == "fleetledger-fle" || name == "tool"; }

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

steady_clock::time_point next_second() {
  return steady_clock::time_point(std::chrono::ceil<seconds>(steady_clock::now().time_since_epoch()));
}

/// The accounts of all sessions' loads.
class Truth {
 public:
  static Result<Truth> open(const std::vector<DescribedAgent>& agents) {
    Truth truth;
    for (const auto& agent : agents) {
      for (const auto& session : agent.sessions) {
        auto account = fleet::TruthAccount::open(session.truth + ".account");
        if (!account) return fail(account.error());
        truth.accounts_.push_back(std::move(*account));
        truth.panes_.push_back(session.pane);
      }
    }
    return truth;
  }
  [[nodiscard]] double seconds() const {
    double sum = 0;
    for (const auto& account : accounts_) sum += static_cast<double>(account.cpu_nanos()) / 1e9;
    return sum;
  }
  /// What the panes' processes themselves used.
  [[nodiscard]] double pane_seconds() const {
    double sum = 0;
    for (const auto pane : panes_) sum += cpu_ms_of(pane).value_or(0) / 1e3;
    return sum;
  }

 private:
  std::vector<fleet::TruthAccount> accounts_;
  std::vector<pid_t> panes_;
};

/// Somebody whose counter is scraped.
struct Scraped {
  std::string name;
  std::string address;
  std::string counter;
  double before = 0;
  double after = 0;
};

Result<double> count(const Scraped& scraped) {
  const auto series = scrape(scraped.address);
  if (!series) return fail(series.error());
  return sum_of(*series, scraped.counter);
}

/// Somebody who prints.
struct Printing {
  std::string name;
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string file;
  std::optional<RunningProgram> program;
};

}  // namespace

Result<Sight> measure_sight(const MeteredOptions& options) {
  const auto agents = read_fleet(options.fleet);
  if (!agents) return fail(agents.error());
  auto truth = Truth::open(*agents);
  if (!truth) return fail(truth.error());
  Sight sight;
  std::vector<RunningProgram> programs;
  std::vector<Scraped> scraped;
  for (const char* source : {"procfs", "ps"}) {
    auto own = options;
    own.source = source;
    own.folder = options.folder + "/" + source;
    own.more = "storage: {backend: memory}\n";
    auto collector = start_collector(own);
    if (!collector) return fail(collector.error());
    programs.push_back(std::move(collector->program));
    scraped.push_back(
        {std::string("fleetledger, ") + source, collector->address, "fleetledger_agent_cpu_seconds_total{"});
  }
  const auto exporter_config = options.folder + "/process-exporter.yaml";
  std::ofstream(exporter_config) << "process_names:\n  - name: " << kGroup << "\n    cmdline: ['" << options.fleet
                                 << "/truth']\n";
  auto exporter = RunningProgram::start(
      {"prometheus-process-exporter", "-config.path", exporter_config, "-web.listen-address", kScrapeAddress}, {});
  if (exporter) {
    programs.push_back(std::move(*exporter));
    scraped.push_back({"process-exporter", kScrapeAddress, "namedprocess_namegroup_cpu_seconds_total{"});
  } else {
    sight.missing.push_back("process-exporter (" + exporter.error().text + ")");
  }
  std::ofstream(options.folder + "/apps_groups.conf") << kGroup << ": fleetledger-fle tool\n";
  const auto interval = std::to_string(kInterval.count());
  std::vector<Printing> printing;
  const auto add = [&](const char* name, std::vector<std::string> command, std::string variable) {
    printing.push_back({name, std::move(command), {std::move(variable)}, options.folder + "/" + name + ".out", {}});
  };
  add("pidstat", {"pidstat", "-h", "-u", "-p", "ALL", interval}, "LC_ALL=C");
  add("top", {"top", "-b", "-d", interval, "-w", "512"}, "LC_ALL=C");
  add("apps.plugin", {"/usr/lib/netdata/plugins.d/apps.plugin", "1"}, "NETDATA_USER_CONFIG_DIR=" + options.folder);
  std::this_thread::sleep_for(kSettle);

  const auto begin = next_second();
  std::this_thread::sleep_until(begin);
  const double truth_before = truth->seconds();
  const double panes_before = truth->pane_seconds();
  for (auto& tool : printing) {
    auto program = RunningProgram::start(tool.command, {.output = tool.file}, tool.environment);
    if (program) {
      tool.program.emplace(std::move(*program));
    } else {
      sight.missing.push_back(tool.name + " (" + program.error().text + ")");
    }
  }
  for (int i = 0; i <= kIntervals; ++i) {
    if (i == kIntervals) {
      std::this_thread::sleep_until(begin + i * kInterval);
      break;
    }
    std::this_thread::sleep_until(begin + i * kInterval + kTickIsOver);
    for (auto& one : scraped) {
      const auto now = count(one);
      if (!now) return fail(now.error());
      if (i == 0) one.before = *now;
    }
  }
  const double truth_after = truth->seconds();
  const double panes_after = truth->pane_seconds();
  std::this_thread::sleep_for(kTickIsOver);
  for (auto& one : scraped) {
    const auto now = count(one);
    if (!now) return fail(now.error());
    one.after = *now;
  }
  sight.seconds = std::chrono::duration<double>(kInterval).count() * kIntervals;
  const double all = truth_after - truth_before;
  for (const auto& one : scraped) sight.seers.push_back({one.name, all, one.after - one.before});
  sight.seers.push_back({"panes' pids alone", all, panes_after - panes_before});
  for (auto& tool : printing) {
    if (!tool.program) continue;
    tool.program.reset();
    const auto text = text_of(tool.file);
    const auto every = std::chrono::duration<double>(kInterval).count();
    if (tool.name == "pidstat") sight.seers.push_back({tool.name, all, pidstat_seconds(text, every, is_ours)});
    if (tool.name == "top") sight.seers.push_back({tool.name, all, top_seconds(text, every, is_ours)});
    if (tool.name == "apps.plugin") {
      // It began with us, so it covers a second less, and what came until it was ended.
      const auto covered = apps_plugin_iterations(text);
      sight.seers.push_back({tool.name, all * covered / sight.seconds, apps_plugin_seconds(text, kGroup)});
    }
  }
  return sight;
}

std::string sight_table(const Sight& sight) {
  auto text = fmt::format("Short-lived tools for {:.0f} s: how much of their CPU time each sees\n\n{}\n", sight.seconds,
                          "WHO                       TRUE    SEEN       %");
  for (const auto& seer : sight.seers) {
    text += fmt::format("{:<22}{:>8.2f} {:>7.2f} {:>7.1f}\n", seer.name, seer.truth, seer.seen,
                        seer.truth > 0 ? 100 * seer.seen / seer.truth : 0);
  }
  for (const auto& missing : sight.missing) text += "Not measured: " + missing + "\n";
  return text;
}

std::string sight_json(const Sight& sight) {
  JsonWriter json;
  json.object().field("seconds", sight.seconds).key("seers").array();
  for (const auto& seer : sight.seers) {
    json.object().field("name", seer.name).field("truthSeconds", seer.truth).field("seenSeconds", seer.seen).end();
  }
  json.end().key("missing").array();
  for (const auto& missing : sight.missing) json.value(missing);
  json.end().end();
  return json.take();
}

}  // namespace fleetledger::bench
