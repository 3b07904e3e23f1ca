#include "bench/fleet/load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/fleet/load_process.h"
#include "bench/fleet/truth.h"

namespace fleetledger::fleet {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct Kind {
  std::string_view name;
  LoadKind kind;
  double parameter;
};

constexpr std::array kKinds{
    Kind{"idle", LoadKind::idle, 0},          Kind{"steady", LoadKind::steady, 20},
    Kind{"flat", LoadKind::flat, 30},         Kind{"deep", LoadKind::deep, 30},
    Kind{"unwaited", LoadKind::unwaited, 30}, Kind{"reparented", LoadKind::reparented, 30},
    Kind{"detached", LoadKind::detached, 30}, Kind{"leaker", LoadKind::leaker, 1},
    Kind{"long", LoadKind::long_child, 100},
};

/// Sizes of bursts, the same for the same seed.
class Bursts {
 public:
  explicit Bursts(std::uint64_t seed) : random_(seed) {}

  Micros between(Micros least, Micros most) { return Micros{number(least.count(), most.count())}; }
  std::int64_t number(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most - least + 1));
  }
  Micros tool() { return between(50ms, 200ms); }

 private:
  std::mt19937_64 random_;
};

void steady(LoadProcess& self, double percent, Bursts& bursts) {
  // Ten wake-ups a second, below 5 % fewer, so that a nearly idle load is mostly asleep.
  const double period_us = percent < 5 ? 1e6 : 1e5;
  self.repeat_at(percent, [&] {
    const double share = percent / 100 * static_cast<double>(bursts.number(80, 120)) / 100;
    self.burn(Micros{static_cast<Micros::rep>(period_us * share)});
  });
}

/// A shell that does a little, waits for the next of the chain, and does a little again; the last one is the tool.
void chain(LoadProcess& self, std::int64_t depth, Micros shell_cpu, Micros tool_cpu) {
  if (depth == 1) return self.burn(tool_cpu);
  self.burn(shell_cpu);
  self.run_child(depth == 2 ? "tool" : "sh", [&](LoadProcess& next) { chain(next, depth - 1, shell_cpu, tool_cpu); });
  self.burn(shell_cpu);
}

void deep(LoadProcess& self, double percent, Bursts& bursts) {
  self.repeat_at(percent, [&] {
    const auto depth = bursts.number(3, 5);
    const auto shell_cpu = bursts.between(2ms, 10ms);
    const auto tool_cpu = bursts.tool();
    self.run_child("sh", [&](LoadProcess& shell) { chain(shell, depth, shell_cpu, tool_cpu); });
  });
}

void detached(LoadProcess& self, double percent, Bursts& bursts) {
  // Long enough for a collector to have seen the child below its shell, and for it to go on alone after that.
  constexpr auto kShellLife = 8s;
  self.repeat_at(100, [&] {
    const auto seed = static_cast<std::uint64_t>(bursts.number(1, 1 << 30));
    const auto life = bursts.between(20s, 40s);
    self.run_reparented("server ) 1 (", kShellLife, [&](LoadProcess& child) {
      setsid();
      Bursts own(seed);
      const auto start = steady_clock::now();
      for (Micros burned{0}; !child.stopped() && steady_clock::now() < start + life;) {
        const auto burst = own.between(10ms, 50ms);
        child.burn(burst);
        burned += burst;
        child.rest_until(start + std::chrono::duration_cast<Micros>(burned * 100.0 / percent));
      }
    });
  });
}

void leak(LoadProcess& self, double mib_per_second, Bytes cap) {
  const auto size = static_cast<std::size_t>(cap.value);
  auto* memory = static_cast<char*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (memory == MAP_FAILED) return;
  const auto start = steady_clock::now();
  std::size_t touched = 0;
  for (auto next = start; !self.stopped(); next += 100ms) {
    const double grown = std::chrono::duration<double>(steady_clock::now() - start).count() * mib_per_second * 0x100000;
    const auto wanted = static_cast<std::size_t>(std::min(grown, static_cast<double>(size)));
    for (; touched < wanted; touched += 4096) memory[touched] = 1;
    self.publish();
    self.rest_until(touched >= size ? SteadyTime::max() : next + 100ms);
  }
}

void work(LoadProcess& self, const LoadOptions& options) {
  Bursts bursts(options.seed);
  const double parameter = options.spec.parameter;
  const auto tool = [&](LoadProcess& child, Micros cpu) { child.burn(cpu); };
  switch (options.spec.kind) {
    case LoadKind::idle:
      return self.rest_until(SteadyTime::max());
    case LoadKind::steady:
      return steady(self, parameter, bursts);
    case LoadKind::flat:
      return self.repeat_at(parameter, [&] {
        self.run_child("tool", [&, cpu = bursts.tool()](LoadProcess& child) { tool(child, cpu); });
      });
    case LoadKind::deep:
      return deep(self, parameter, bursts);
    case LoadKind::unwaited:
      return self.repeat_at(parameter, [&] {
        self.run_unwaited("tool", [&, cpu = bursts.tool()](LoadProcess& child) { tool(child, cpu); });
      });
    case LoadKind::reparented:
      return self.repeat_at(parameter, [&] {
        self.run_reparented("tool", 0ms, [&, cpu = bursts.tool()](LoadProcess& child) { tool(child, cpu); });
      });
    case LoadKind::detached:
      return detached(self, parameter, bursts);
    case LoadKind::leaker:
      return leak(self, parameter, options.leak_cap);
    case LoadKind::long_child:
      return self.run_child("build", [&](LoadProcess& child) { steady(child, parameter, bursts); });
  }
}

}  // namespace

Result<LoadSpec> parse_load(std::string_view text) {
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& kind) { return kind.name == name; });
  if (found == kKinds.end()) return fail("load \"" + std::string(text) + "\": there is no such kind of load");
  LoadSpec spec{found->kind, found->parameter};
  if (colon == std::string_view::npos) return spec;
  const auto number = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), spec.parameter);
  const double most = spec.kind == LoadKind::leaker ? 4096 : 100;
  if (error != std::errc() || end != number.data() + number.size() || !(spec.parameter > 0 && spec.parameter <= most)) {
    return fail("load \"" + std::string(text) + "\": after the colon comes a number above 0 and at most " +
                std::to_string(static_cast<int>(most)));
  }
  return spec;
}

Result<std::vector<LoadSpec>> parse_loads(std::string_view text) {
  std::vector<LoadSpec> loads;
  for (;;) {
    const auto comma = text.find(',');
    auto load = parse_load(text.substr(0, comma));
    if (!load) return fail(load.error());
    loads.push_back(*load);
    if (comma == std::string_view::npos) return loads;
    text.remove_prefix(comma + 1);
  }
}

std::string_view to_string(LoadKind kind) {
  return std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& row) { return row.kind == kind; })->name;
}

std::vector<std::string_view> load_kinds() {
  std::vector<std::string_view> names;
  for (const Kind& kind : kKinds) names.push_back(kind.name);
  return names;
}

Result<void> run_load(const LoadOptions& options) {
  auto account = TruthAccount::create(options.truth + ".account");
  if (!account) return fail(account.error());
  const std::string path = options.truth + ".jsonl";
  TruthRows rows;
  rows.fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (rows.fd < 0) return fail("create " + path + ": " + std::strerror(errno));
  rows.interval = options.row_interval;
  // An idle load has nothing to tell between its first row and its last.
  if (options.spec.kind != LoadKind::idle) rows.next = steady_clock::now() + rows.interval;
  prctl(PR_SET_NAME, "agent");

  LoadProcess self(*account, options.cpu_limit, &rows);
  write_truth_row(rows.fd, *account);
  work(self, options);
  self.publish();
  write_truth_row(rows.fd, *account);
  self.finish();
  close(rows.fd);
  return {};
}

}  // namespace fleetledger::fleet
