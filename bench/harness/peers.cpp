#include "bench/harness/peers.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <thread>
#include <unistd.h>

#include "bench/harness/fleet_description.h"
#include "bench/harness/json.h"
#include "bench/harness/process_clock.h"
#include "bench/harness/programs.h"
#include "bench/harness/scrape.h"
#include "bench/idle_children.h"
#include "collector/meter.h"
#include "collector/sources/procfs_source.h"
#include "collector/sources/ps_parser.h"

namespace fleetledger::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kRounds = 7;
constexpr int kModelRounds = 5;
constexpr int kLooks = 15;
constexpr std::size_t kProcesses = 1'000;
constexpr seconds kSettle{3};
constexpr const char* kScrapeAddress = "127.0.0.1:19256";

/// A tool that shows or writes down the host's processes every second.
struct Repeating {
  const char* name;
  const char* what;
  std::vector<std::string> command;
  std::vector<std::string> environment;
};

std::vector<Repeating> repeating_tools() {
  return {
      {"apps.plugin", "an iteration of netdata's plugin", {"/usr/lib/netdata/plugins.d/apps.plugin", "1"}, {}},
      {"pidstat", "an interval of pidstat -u -r -p ALL", {"pidstat", "-h", "-u", "-r", "-p", "ALL", "1"}, {}},
      {"top", "a frame of top -b", {"top", "-b", "-d", "1", "-w", "512"}, {}},
      {"atop", "an interval of atop, without process accounting", {"atop", "1"}, {"ATOPACCT="}},
  };
}

double mib(std::optional<Bytes> bytes) { return bytes ? static_cast<double>(bytes->value) / (1 << 20) : 0; }

ResolvedRoots roots_of(const std::vector<DescribedAgent>& agents, const ProcessTable& table) {
  ResolvedRoots resolved;
  std::uint32_t source = kOrphans;
  for (std::size_t i = 0; i < agents.size(); ++i) {
    const auto number = static_cast<std::uint32_t>(i + 1);
    resolved.metered.push_back({number, i});
    const auto add = [&](pid_t pid, const std::string& name) {
      const auto* reading = table.find(pid);
      const Claim claim{number, ++source};
      if (reading == nullptr) return;
      resolved.roots.claims.emplace(reading->key, claim);
      resolved.named.push_back({claim, i, name, reading->key.pid, {}});
    };
    add(agents[i].server, "agent-server");
    for (const auto& session : agents[i].sessions) add(session.pane, "session:" + session.id);
  }
  return resolved;
}

Result<Spread> measure_looks(const std::vector<DescribedAgent>& agents) {
  const auto source = make_procfs_source();
  if (!source) return fail(source.error());
  Meter meter(Scope::tree);
  std::optional<Error> failed;
  std::optional<ResolvedRoots> roots;  // resolved once: that is the files' part of a tick
  std::vector<double> figures;
  for (int i = 0; i < kLooks + 2 && !failed; ++i) {
    std::this_thread::sleep_for(milliseconds{200});
    const double before = own_thread_cpu_ms();
    double left_out = 0;
    (*source)->look([&](Result<ProcessTable> table) {
      if (!table) {
        failed = table.error();
        return;
      }
      if (!roots) {
        const double resolving = own_thread_cpu_ms();
        roots = roots_of(agents, *table);
        left_out = own_thread_cpu_ms() - resolving;
      }
      meter.look(std::move(*table), *roots);
    });
    for (std::uint32_t agent = 1; agent <= agents.size(); ++agent) static_cast<void>(meter.take(agent));
    if (i >= 2) figures.push_back(own_thread_cpu_ms() - before - left_out);
  }
  if (failed) return fail(*failed);
  return spread_of(std::move(figures));
}

/// What each agent's own sampler starts for one sample of all agents.
Result<Spread> measure_model(const std::vector<DescribedAgent>& agents) {
  std::vector<BareProgram> programs;
  for (const auto& agent : agents) {
    std::string pids = std::to_string(agent.server);
    for (const auto& session : agent.sessions) {
      pids += "," + std::to_string(session.pane);
      auto panes = BareProgram::find("tmux", {"list-panes", "-t", "=" + session.tmux_session, "-F", "#{pane_pid}"});
      if (!panes) return fail(panes.error());
      programs.push_back(std::move(*panes));
    }
    auto ps = BareProgram::find("ps", {"-o", "pid=,%cpu=,rss=", "-p", pids});
    if (!ps) return fail(ps.error());
    programs.push_back(std::move(*ps));
  }
  std::vector<double> figures;
  for (int round = 0; round < kModelRounds; ++round) {
    double sum = 0;
    for (const auto& program : programs) {
      const auto took = program.run();
      if (!took) return fail(took.error());
      sum += *took;
    }
    figures.push_back(sum);
  }
  return spread_of(std::move(figures));
}

/// A second at a time of a program that runs.
Result<PeerCost> measure_seconds(std::string name, std::string what, RunningProgram& program,
                                 const std::function<Result<void>()>& each = {}) {
  std::vector<double> figures;
  std::optional<double> before;
  for (int i = 0; i <= kRounds; ++i) {
    const auto now = cpu_ms_of(program.pid());
    if (!now || !program.runs()) return fail("measure " + name + ": it ended");
    if (before) figures.push_back(*now - *before);
    before = now;
    if (i == kRounds) break;
    if (each) {
      if (auto done = each(); !done) return fail(done.error());
    }
    std::this_thread::sleep_for(seconds{1});
  }
  return PeerCost{std::move(name), std::move(what), spread_of(std::move(figures)), mib(resident_of(program.pid()))};
}

Result<PeerCost> measure_repeating(const Repeating& tool) {
  auto program = RunningProgram::start(tool.command, {}, tool.environment);
  if (!program) return fail(program.error());
  std::this_thread::sleep_for(kSettle);
  return measure_seconds(tool.name, tool.what, *program);
}

/// Every process a group of its own: what says which session it was.
Result<PeerCost> measure_exporter(const std::string& folder) {
  const auto config = folder + "/process-exporter.yaml";
  std::ofstream(config) << "process_names:\n  - name: \"{{.Comm}};{{.PID}}\"\n    cmdline: ['.+']\n";
  auto program = RunningProgram::start(
      {"prometheus-process-exporter", "-config.path", config, "-web.listen-address", kScrapeAddress}, {});
  if (!program) return fail(program.error());
  std::this_thread::sleep_for(kSettle);
  const auto ask = []() -> Result<void> {
    const auto series = scrape(kScrapeAddress);
    return series ? Result<void>{} : fail(series.error());
  };
  for (int i = 0; i < 2; ++i) {
    if (auto warm = ask(); !warm) return fail(warm.error());
    std::this_thread::sleep_for(seconds{1});
  }
  return measure_seconds("process-exporter", "a scrape, every process a group", *program, ask);
}

Result<void> measure_others(const std::string& folder, Peers& peers) {
  const auto keep = [&](const std::string& name, Result<PeerCost> cost) {
    if (cost) {
      peers.others.push_back(std::move(*cost));
    } else {
      peers.missing.push_back(name + " (" + cost.error().text + ")");
    }
  };
  for (const auto& tool : repeating_tools()) keep(tool.name, measure_repeating(tool));
  keep("process-exporter", measure_exporter(folder));
  return {};
}

const PeerCost* other(const Peers& peers, std::string_view name) {
  for (const auto& cost : peers.others) {
    if (cost.name == name) return &cost;
  }
  return nullptr;
}

std::vector<PeerCost> all_costs(const Peers& peers) {
  std::vector<PeerCost> costs{
      {"fleetledger, procfs", "a whole tick, rows into a ledger an agent", peers.procfs.together,
       peers.procfs.resident_mib},
      {"  of it", "look and attribution alone", peers.look_and_charge, 0},
      {"fleetledger, ps", "the same, its ps included", peers.ps.together, peers.ps.resident_mib},
      {"bare ps -A", "with the columns that fleetledger asks for", peers.bare_ps, 0},
      {"bare tmux list-panes -a", "", peers.bare_tmux, 0},
      {"a sampler in each agent", "a ps -p an agent, a tmux list-panes a session", peers.in_process, 0},
  };
  costs.insert(costs.end(), peers.others.begin(), peers.others.end());
  return costs;
}

}  // namespace

Result<Peers> measure_peers(const MeteredOptions& options) {
  Peers peers;
  const auto agents = read_fleet(options.fleet);
  if (!agents) return fail(agents.error());
  peers.agents = agents->size();
  for (const auto& agent : *agents) peers.sessions += agent.sessions.size();
  const auto there = count_processes();
  const IdleChildren idle(kProcesses - std::min(there, kProcesses));
  const auto ps = BareProgram::find("ps", linux_ps_arguments());
  if (!ps) return fail(ps.error());
  const auto tmux = BareProgram::find("tmux", {"-u", "list-panes", "-a", "-F", "#{pid} #{pane_pid} #{session_name}"});
  if (!tmux) return fail(tmux.error());
  std::vector<double> bare_ps;
  std::vector<double> bare_tmux;
  const auto run_bare = [&]() -> Result<void> {
    for (auto [program, figures] : {std::pair{&*ps, &bare_ps}, std::pair{&*tmux, &bare_tmux}}) {
      const auto took = program->run();
      if (!took) return fail(took.error());
      figures->push_back(*took);
    }
    return {};
  };
  for (const char* source : {"procfs", "ps"}) {
    auto own = options;
    own.source = source;
    own.folder = options.folder + "/" + source;
    auto metered = meter_fleet(own, run_bare);
    if (!metered) return fail(metered.error());
    (own.source == "ps" ? peers.ps : peers.procfs) = std::move(*metered);
  }
  peers.bare_ps = spread_of(std::move(bare_ps));
  peers.bare_tmux = spread_of(std::move(bare_tmux));
  const auto looks = measure_looks(*agents);
  if (!looks) return fail(looks.error());
  peers.look_and_charge = *looks;
  const auto model = measure_model(*agents);
  if (!model) return fail(model.error());
  peers.in_process = *model;
  if (auto others = measure_others(options.folder, peers); !others) return fail(others.error());
  return peers;
}

std::vector<Bar> peers_bars(const Peers& peers) {
  const double ours = peers.ps.together.median;
  const double look = peers.look_and_charge.median;
  std::vector<Bar> bars{
      {"tick by ps, in bare ps + bare tmux", ours / (peers.bare_ps.median + peers.bare_tmux.median), 1.4,
       Bar::Kind::at_most, "x"},
      {"tick by ps, in samplers in each agent", ours / peers.in_process.median, 1.0 / 60, Bar::Kind::at_most, "x"},
      {"look and attribution by procfs", look, 5, Bar::Kind::at_most, "ms"},
      {"whole tick by procfs", peers.procfs.together.median, 16, Bar::Kind::at_most, "ms"},
  };
  if (const auto* apps = other(peers, "apps.plugin")) {
    bars.push_back({"look and attribution in apps.plugin", look / apps->cpu_ms.median, 0.25, Bar::Kind::at_most, "x"});
  }
  if (const auto* exporter = other(peers, "process-exporter")) {
    bars.push_back({"look and attribution in process-exporter", look / exporter->cpu_ms.median, 1.0 / 40,
                    Bar::Kind::at_most, "x"});
  }
  return bars;
}

std::string peers_table(const Peers& peers) {
  auto text =
      fmt::format("Peers: {} processes, {} agents with {} sessions in tmux; CPU ms for one view of the host\n\n{}\n",
                  peers.procfs.processes, peers.agents, peers.sessions,
                  "WHAT                       MEDIAN    LEAST GREATEST  X PROCFS    MIB  ONE VIEW IS");
  for (const auto& cost : all_costs(peers)) {
    text += fmt::format("{:<24}{:>9.2f} {:>8.2f} {:>8.2f} {:>9.2f} {:>6}  {}\n", cost.name, cost.cpu_ms.median,
                        cost.cpu_ms.least, cost.cpu_ms.greatest, cost.cpu_ms.median / peers.procfs.together.median,
                        cost.resident_mib > 0 ? fmt::format("{:.1f}", cost.resident_mib) : "-", cost.what);
  }
  for (const auto& missing : peers.missing) text += "Not measured: " + missing + "\n";
  return text + "\n" + bars_text(peers_bars(peers));
}

std::string peers_json(const Peers& peers) {
  JsonWriter json;
  json.object().field("processes", peers.procfs.processes);
  json.field("agents", static_cast<std::uint64_t>(peers.agents));
  json.field("sessions", static_cast<std::uint64_t>(peers.sessions)).key("costs").array();
  for (const auto& cost : all_costs(peers)) {
    json.object().field("name", cost.name).field("what", cost.what).field("residentMiB", cost.resident_mib);
    spread_field(json, "cpuMs", cost.cpu_ms);
    json.end();
  }
  json.end().key("missing").array();
  for (const auto& missing : peers.missing) json.value(missing);
  json.end();
  bars_field(json, peers_bars(peers));
  json.end();
  return json.take();
}

}  // namespace fleetledger::bench
