#include "bench/fleet/load.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <poll.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/fleet/truth.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::fleet;
using namespace std::chrono_literals;

namespace {

// What the exits of a load's processes may cost that nobody can tell of: less than 1 ms, with a sanitizer much more.
constexpr Micros kExits = 50ms;

Micros micros(const timeval& time) { return std::chrono::seconds{time.tv_sec} + Micros{time.tv_usec}; }

pid_t start(const LoadOptions& options) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) _exit(run_load(options) ? EXIT_SUCCESS : EXIT_FAILURE);
  return pid;
}

/// Reaps one process or, with -1, everything below this one, also what is handed to it as the subreaper that it is, and
/// adds up what the kernel says that they used.
Micros reap(pid_t pid) {
  Micros used{0};
  rusage usage{};
  int status = 0;
  while (wait4(pid, &status, 0, &usage) > 0) {
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == EXIT_SUCCESS);
    used += micros(usage.ru_utime) + micros(usage.ru_stime);
  }
  return used;
}

void become_subreaper() { REQUIRE(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); }

Micros last_row(const std::string& truth) {
  const auto rows = read_truth(truth + ".jsonl");
  REQUIRE(rows);
  REQUIRE(rows->size() >= 2);
  CHECK(std::is_sorted(rows->begin(), rows->end(),
                       [](const TruthPoint& a, const TruthPoint& b) { return a.mono < b.mono || a.cpu < b.cpu; }));
  return rows->back().cpu.since_start();
}

LoadOptions options_for(const std::string& spec, const test::TempDir& folder) {
  LoadOptions options;
  const auto parsed = parse_load(spec);
  REQUIRE(parsed);
  options.spec = *parsed;
  options.truth = folder / "load";
  return options;
}

void check_close(Micros told, Micros kernel) {
  INFO("told " << told.count() << " us, the kernel says " << kernel.count() << " us");
  CHECK(told <= kernel * 101 / 100 + kExits);
  CHECK(told >= kernel * 99 / 100 - kExits);
}

Bytes resident_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  in >> size >> resident;
  return Bytes{resident * sysconf(_SC_PAGESIZE)};
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string stat;
    std::getline(std::ifstream(entry.path() / "stat"), stat);
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    std::istringstream fields(stat.substr(name_end + 1));
    char state = 0;
    pid_t of = 0;
    fields >> state >> of;
    if (of == parent) children.push_back(std::stoi(name));
  }
  return children;
}

/// Looks at something that will become true, until it is; gives up only when nobody would wait any longer.
template <typename Condition>
bool await(Condition condition) {
  for (int look = 0; look < 60'000; ++look) {
    if (condition()) return true;
    poll(nullptr, 0, 1);
  }
  return false;
}

}  // namespace

TEST_CASE("a load tells what the kernel says that its processes used") {
  become_subreaper();
  const std::string spec = GENERATE("steady:100", "flat:100", "deep:100", "reparented:100", "detached:100", "long:100");
  INFO(spec);
  const test::TempDir folder;
  LoadOptions options = options_for(spec, folder);
  options.cpu_limit = 600ms;
  start(options);
  const Micros kernel = reap(-1);
  CHECK(kernel >= 590ms);
  check_close(last_row(options.truth), kernel);
  const auto account = TruthAccount::open(options.truth + ".account");
  REQUIRE(account);
  CHECK(account->resident() == Bytes{0});
}

TEST_CASE("children that nobody waits for are in the load's truth and not in the kernel's sum for its process") {
  become_subreaper();
  const test::TempDir folder;
  LoadOptions options = options_for("unwaited:100", folder);
  options.cpu_limit = 600ms;
  const auto start_time = std::chrono::steady_clock::now();
  const pid_t load = start(options);
  // What each child's clock showed when it was last seen: no more than it used in the end.
  std::map<pid_t, Micros> seen;
  siginfo_t ended{};
  while (waitid(P_PID, static_cast<id_t>(load), &ended, WEXITED | WNOWAIT | WNOHANG) == 0 && ended.si_pid == 0) {
    for (const pid_t child : children_of(load)) {
      clockid_t clock{};
      timespec time{};
      if (clock_getcpuclockid(child, &clock) != 0 || clock_gettime(clock, &time) != 0) continue;
      seen[child] = std::chrono::seconds{time.tv_sec} + Micros{time.tv_nsec / 1000};
    }
    poll(nullptr, 0, 5);
  }
  const auto elapsed = std::chrono::steady_clock::now() - start_time;
  const Micros own = reap(load);
  reap(-1);  // a child that was about to end when the load did is handed to this process
  const Micros told = last_row(options.truth);
  Micros least = own;
  for (const auto& [child, cpu] : seen) least += cpu;
  INFO("told " << told.count() << " us, seen " << least.count() << " us, own " << own.count() << " us");
  CHECK(seen.size() >= 3);
  CHECK(own < least / 2);
  CHECK(least <= told * 101 / 100 + kExits);
  // Only one of them works at a time.
  CHECK(told <= elapsed);
}

TEST_CASE("a leaker grows to its cap and tells its memory as the kernel does") {
  become_subreaper();
  const test::TempDir folder;
  LoadOptions options = options_for("leaker:1000", folder);
  options.leak_cap = Bytes{32 << 20};
  const pid_t load = start(options);
  Result<TruthAccount> account = fail("not yet");
  REQUIRE(await([&] { return (account = TruthAccount::open(options.truth + ".account")).has_value(); }));
  REQUIRE(await([&] { return account->resident() >= options.leak_cap; }));
  const double kernel = static_cast<double>(resident_of(load).value);
  CHECK(static_cast<double>(account->resident().value) == Approx(kernel).epsilon(0.05));
  kill(load, SIGTERM);
  const Micros used = reap(-1);
  check_close(last_row(options.truth), used);
}

TEST_CASE("a load that is told to stop ends its children and writes its last row") {
  become_subreaper();
  const std::string spec =
      GENERATE("idle", "steady", "flat", "deep", "unwaited", "reparented", "detached", "long", "leaker");
  INFO(spec);
  const test::TempDir folder;
  const LoadOptions options = options_for(spec, folder);
  const pid_t load = start(options);
  Result<TruthAccount> account = fail("not yet");
  REQUIRE(await([&] { return (account = TruthAccount::open(options.truth + ".account")).has_value(); }));
  // Then it is in the midst of its first burst, if it has any.
  const auto least = spec == "idle" || spec == "leaker" ? Micros{0} : Micros{5ms};
  const auto has_row = [&] {
    const auto rows = read_truth(options.truth + ".jsonl");
    return rows && !rows->empty();
  };
  REQUIRE(await([&] { return has_row() && account->cpu().since_start() >= least; }));
  kill(load, SIGTERM);
  const Micros used = reap(-1);
  const Micros told = last_row(options.truth);
  CHECK(told >= least);
  if (spec != "unwaited") check_close(told, used);
  CHECK(account->resident() == Bytes{0});
}

TEST_CASE("a load is named with its parameter or takes its kind's own") {
  const auto loads = parse_loads("flat,steady:12.5,long");
  REQUIRE(loads);
  REQUIRE(loads->size() == 3);
  CHECK((*loads)[0].kind == LoadKind::flat);
  CHECK((*loads)[0].parameter > 0);
  CHECK((*loads)[1].kind == LoadKind::steady);
  CHECK((*loads)[1].parameter == 12.5);
  CHECK((*loads)[2].kind == LoadKind::long_child);
  for (const auto kind : load_kinds()) {
    INFO(kind);
    const auto parsed = parse_load(kind);
    REQUIRE(parsed);
    CHECK(to_string(parsed->kind) == kind);
  }
}

TEST_CASE("a load that makes no sense is refused") {
  for (const char* wrong : {"", "flatt", "steady:", "steady:x", "steady:0", "steady:-1", "steady:101", "steady:nan",
                            "steady:5x", "flat,,deep", "flat,"}) {
    INFO(wrong);
    CHECK_FALSE(parse_loads(wrong));
  }
}
