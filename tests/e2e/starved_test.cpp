#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>

#include "collector/sources/proc_stat.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"
#include "tests/soak/parameters.h"

using namespace fleetledger;
using namespace fleetledger::e2e;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";
const std::string kServer = "agent-server";

std::vector<Row> server_rows(const std::string& path) {
  auto rows = read_rows(path);
  std::erase_if(rows, [](const Row& row) { return row.source != kServer; });
  return rows;
}

void await_rows(const std::string& path, std::size_t more) {
  const auto before = server_rows(path).size();
  REQUIRE(test::await([&] { return server_rows(path).size() >= before + more; }));
}

/// CPU time of a process by the kernel's account.
std::int64_t used_us(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::ostringstream text;
  text << file.rdbuf();
  const auto stat = parse_proc_stat(text.str());
  REQUIRE(stat);
  return ticks_to_micros(stat->own_ticks).count();
}

/// An agent whose server is always busy, at a low priority.
struct Busy {
  explicit Busy(Host& host)
      : path(host.make_agent("echo")),
        server(host.start_program({"/usr/bin/nice", "-n", "19", "/bin/sh", "-c", "while :; do :; done"})) {
    host.register_agents({{"echo", path, server.pid(), ""}});
  }
  std::string path;
  test::Program server;
};

/// Checks that the rows after the first `seen` ones tell of all that the server has used since `then`, and of no more
/// than it has used at all; and that each interval begins where the one before ended.
void check_nothing_lost_or_invented(const Busy& busy, std::size_t seen, std::int64_t used_then) {
  const auto used_before = used_us(busy.server.pid());
  await_rows(busy.path, 2);
  const auto rows = server_rows(busy.path);
  const auto used_after = used_us(busy.server.pid());
  std::int64_t told = 0;
  std::int64_t told_since = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    told += rows[i].cpu_us.value();
    told_since += i < seen ? 0 : rows[i].cpu_us.value();
    CHECK(rows[i].cpu_us.value() >= 0);
    CHECK(rows[i].interval_us.value() > 0);
    if (i > 0) {
      // Moments are of the look's end by the wall clock, intervals between looks by the monotonic one.
      CHECK(static_cast<double>(rows[i].interval_us.value()) ==
            Approx(1000.0 * static_cast<double>(rows[i].ts - rows[i - 1].ts)).margin(1e6));
    }
  }
  CHECK(told <= used_after);
  CHECK(told_since >= used_before - used_then - 50'000);  // two looks of ps, each as good as ps prints
}

}  // namespace

TEST_CASE("where no thread or no descriptor was to be had at the start it was aborted without a word") {
#ifdef FLEETLEDGER_SANITIZED
  SUCCEED("the sanitizers need threads and descriptors of their own: this is for the other builds");
  return;
#endif
  Host host;
  host.as_ordinary_user();
  host.make_agent("echo");
  const bool hidden = host.run({"sample"}).errors.find("hidepid") != std::string::npos;
  const auto limited = [&](const std::string& limit, std::vector<std::string> arguments) {
    auto command = host.command(std::move(arguments));
    command.insert(command.begin(), {"/usr/bin/prlimit", limit});
    auto program = host.start_program(command);
    const int code = program.exit_code();
    return test::Finished{code, program.output(), program.errors()};
  };
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"run"}, {"sample"}, {"top", "--once"}, {"check"}}) {
    CAPTURE(verb.front());
    const auto ended = limited("--nproc=1", verb);
    CHECK(ended.code == (verb.front() == "check" ? 78 : 1));  // to check, ps not running is what is wrong
    CHECK((ended.errors + ended.output).find(" threads can be had (Resource temporarily unavailable)") !=
          std::string::npos);
  }
  bool failed = false;
  bool worked = false;
  for (int descriptors = 4; descriptors <= 64; descriptors += 4) {
    CAPTURE(descriptors);
    const auto ended = limited("--nofile=" + std::to_string(descriptors),
                               {"sample", "--record", "--ticks", "1", "--interval", "100ms"});
    CAPTURE(ended.errors);
    CHECK((ended.code == 0 || ended.code == 1));
    if (ended.code == 1) {
      CHECK((ended.errors + ended.output).find("escriptors") + (ended.errors + ended.output).find("open files") !=
            2 * std::string::npos);
    }
    CHECK((ended.errors.find("hidepid") == std::string::npos ||
           hidden));  // it was said of a /proc that was not looked at
    failed = failed || ended.code == 1;
    worked = worked || ended.code == 0;
  }
  CHECK(failed);
  CHECK(worked);
}

TEST_CASE("while nothing can be started and nothing opened, values are missing; afterwards they are right and whole") {
  Host host;
  host.as_ordinary_user();
  Busy busy(host);
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_rows(busy.path, 2);
  const auto limit = [&](const std::string& what) {
    return host.start_program({"/usr/bin/prlimit", "--pid", std::to_string(daemon.pid()), what}).exit_code();
  };
  const auto seen = server_rows(busy.path).size();
  const auto used = used_us(busy.server.pid());
  REQUIRE(limit("--nproc=1:") == 0);
  REQUIRE(
      daemon.complains("event=look_failed of=processes reason=\"run /usr/bin/ps: resource temporarily unavailable"));
  rlimit usual{};
  ::getrlimit(RLIMIT_NPROC, &usual);
  const auto most = usual.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(usual.rlim_max);
  REQUIRE(limit("--nproc=" + most + ":") == 0);
  await_rows(busy.path, 1);
  REQUIRE(limit("--nofile=0:") == 0);
  REQUIRE(daemon.complains("reason=\"run /usr/bin/ps: too many open files"));
  REQUIRE(limit("--nofile=1024:") == 0);
  check_nothing_lost_or_invented(busy, seen, used);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("after a stop of many periods one tick follows, and it tells of all the time that it stood") {
  const std::chrono::seconds stop{soak::parameter("SOAK_STOP_SECONDS", 6)};
  Host host;
  Busy busy(host);
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_rows(busy.path, 2);
  const auto seen = server_rows(busy.path).size();
  const auto used = used_us(busy.server.pid());
  daemon.signal(SIGSTOP);
  const auto stopped = Clock::now();
  while (Clock::now() - stopped <= stop) ::poll(nullptr, 0, 50);
  const auto before = server_rows(busy.path).size();  // a tick that had begun may have been written
  daemon.signal(SIGCONT);
  await_rows(busy.path, 2);
  const auto rows = server_rows(busy.path);
  const auto longest = std::max_element(rows.begin() + static_cast<std::ptrdiff_t>(before), rows.end(),
                                        [](const Row& a, const Row& b) { return a.interval_us < b.interval_us; });
  CHECK(longest->interval_us >= std::chrono::microseconds{stop}.count() - 1'000'000);
  // No row makes up for a deadline that has passed: there are no more than moments since.
  std::int64_t since = 0;
  for (auto row = rows.begin() + static_cast<std::ptrdiff_t>(before); row != rows.end(); ++row) {
    since += row == longest ? 0 : 1;
  }
  CHECK(since <= (rows.back().ts - longest->ts) / 1000 + 2);
  std::printf("stopped for %lld s: one row over %.1f s, then %lld rows in %.1f s\n",
              static_cast<long long>(stop.count()), static_cast<double>(longest->interval_us.value()) / 1e6,
              static_cast<long long>(since), static_cast<double>(rows.back().ts - longest->ts) / 1e3);
  CHECK(daemon.complains("event=deadlines_skipped"));
  check_nothing_lost_or_invented(busy, seen, used);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}
