#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <sys/stat.h>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/generated_fleet.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/support/gate.h"

using namespace fleetledger;
using e2e::GeneratedFleet;
using e2e::Host;
using e2e::ServedAgent;

namespace {

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";

/// A ps that counts its calls, and while the file "hold" exists tells that it waits and does so.
class CountedPs {
 public:
  explicit CountedPs(Host& host)
      : host_(host),
        gate_(host / "gate"),
        path_(host.folder().script("counted-ps", "echo >>'" + host / "calls" + "'\nif [ -e '" + host / "hold" +
                                                     "' ]; then\n  /usr/bin/ps \"$@\" >'" + host / "seen" +
                                                     "'\n  echo >>'" + host / "held" + "'\n  read -r _ <'" +
                                                     gate_.path() + "'\n  exec /bin/cat '" + host / "seen" +
                                                     "'\nfi\nexec /usr/bin/ps \"$@\"")) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::size_t calls() const { return lines("calls"); }
  /// From the next call on ps has looked and waits before it says so; returns when one does.
  void hold() {
    const auto before = lines("held");
    host_.folder().write("hold", "");
    REQUIRE(test::await([&] { return lines("held") > before; }));
  }
  void release() {
    std::filesystem::remove(host_ / "hold");
    gate_.open();
  }

 private:
  [[nodiscard]] std::size_t lines(const char* file) const {
    return test::lines_of(test::text_of_file(host_ / file)).size();
  }

  Host& host_;
  test::Gate gate_;
  std::string path_;
};

std::string every_second_with(const CountedPs& ps) {
  return "sampling: {sample_interval: 1s, idle_sample_interval: 1s, ps: " + ps.path() + "}\n";
}

/// Waits until an agent's ledger holds `more` ticks than now.
void await_ticks(const std::string& path, std::size_t more) {
  const auto before = e2e::read_ticks(path).size();
  REQUIRE(test::await([&] { return e2e::read_ticks(path).size() >= before + more; }));
}

}  // namespace

TEST_CASE("ps and the threads of the pool push aside nobody who runs, and the loop is like any other program") {
  // Field 41 of a stat file: 0 is SCHED_OTHER, 3 SCHED_BATCH; in that of cut no field has a space.
  Host host;
  const auto ps = host.folder().script("batch-ps", "cut -d' ' -f41 /proc/self/stat >'" + host / "policy.new" +
                                                       "'\nmv '" + host / "policy.new" + "' '" + host / "policy" +
                                                       "'\nexec /usr/bin/ps \"$@\"");
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s, ps: " + ps + "}\n");
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  auto daemon = host.start({"run"});
  REQUIRE(test::await([&] { return !e2e::read_ticks(agent.path).empty(); }));
  CHECK(test::text_of_file(host / "policy") == "3\n");
  const auto policy_of = [](const std::string& stat) {
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string field;
    for (int number = 3; number <= 41; ++number) fields >> field;
    return field;
  };
  const auto folder = "/proc/" + std::to_string(daemon.pid());
  CHECK(policy_of(test::text_of_file(folder + "/stat")) == "0");
  std::map<std::string, int> threads;
  for (const auto& task : std::filesystem::directory_iterator(folder + "/task")) {
    ++threads[policy_of(test::text_of_file(task.path() / "stat"))];
  }
  CHECK(threads["3"] >= 40);
}

TEST_CASE("the daemon writes a row a second for each source, and SIGTERM ends it with all of them on disk") {
  Host host;
  CountedPs ps(host);
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(every_second_with(ps));
  auto daemon = host.start({"run"});
  await_ticks(agent.path, 2);
  const auto written = e2e::read_ticks(agent.path);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  INFO(daemon.errors());
  // Before anybody else opens it. A host that lets nobody run may keep the daemon from closing it in time; it says so.
  CHECK((!std::filesystem::exists(e2e::ledger_file(agent.path) + "-wal") || e2e::is_cut_short(daemon.errors())));
  const auto ticks = e2e::read_ticks(agent.path);
  CHECK(std::includes(ticks.begin(), ticks.end(), written.begin(), written.end()));
  // All looks have been written but the first, which is a baseline, and one that may have been under way.
  CHECK(ticks.size() + 2 >= ps.calls());
  CHECK(e2e::is_intact(agent.path));

  const auto rows = e2e::read_rows(agent.path);
  REQUIRE(rows.size() == 2 * e2e::read_ticks(agent.path).size());
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    CHECK(rows[i].source == "agent-server");
    CHECK(rows[i].pid == agent.server.pid());
    CHECK(rows[i + 1].source == "aggregate");
    CHECK(rows[i].interval_us.value() > 0);
    CHECK(rows[i].interval_us == rows[i + 1].interval_us);
  }
}

TEST_CASE("SIGTERM while ps does not answer ends the daemon and its ps, with all earlier ticks on disk") {
  Host host;
  CountedPs ps(host);
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(every_second_with(ps));
  auto daemon = host.start({"run"});
  await_ticks(agent.path, 2);
  ps.hold();
  // The first look is a baseline and the last one waits.
  REQUIRE(test::await([&] { return e2e::read_ticks(agent.path).size() + 2 == ps.calls(); }));
  const auto written = e2e::read_ticks(agent.path);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  CHECK(e2e::read_ticks(agent.path) == written);
  CHECK(e2e::is_intact(agent.path));
  CHECK(test::await([&] { return test::processes_that_mention(ps.path()).empty(); }));
}

TEST_CASE("a tick that is under way at SIGTERM and can be finished is written") {
  // How long a tick may take then is limited, and this machine may be busy: one of some tries has to do it.
  bool finished = false;
  for (int attempt = 0; attempt < 5 && !finished; ++attempt) {
    Host host;
    CountedPs ps(host);
    const ServedAgent agent(host, "echo");
    host.register_agents({agent.entry()});
    host.configure(every_second_with(ps));
    auto daemon = host.start({"run"});
    await_ticks(agent.path, 1);
    ps.hold();
    daemon.signal(SIGTERM);
    REQUIRE(daemon.complains("event=stopping"));
    ps.release();
    CHECK(daemon.exit_code() == 0);
    CHECK(e2e::is_intact(agent.path));
    finished = e2e::read_ticks(agent.path).size() + 1 == ps.calls();
  }
  CHECK(finished);
}

TEST_CASE("SIGTERM ends the daemon while another process holds the lock of a ledger") {
  Host host;
  const ServedAgent held(host, "held");
  const ServedAgent free(host, "free");
  host.register_agents({held.entry(), free.entry()});
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_ticks(held.path, 1);
  {
    test::PlainDatabase other(e2e::ledger_file(held.path));
    other.run("BEGIN IMMEDIATE");
    const auto before = e2e::read_ticks(held.path);
    await_ticks(free.path, 2);
    CHECK(e2e::read_ticks(held.path) == before);
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
    CHECK(e2e::read_ticks(held.path) == before);
    other.run("ROLLBACK");
  }
  CHECK(e2e::is_intact(held.path));
  CHECK(e2e::is_intact(free.path));
}

TEST_CASE(
    "rows that a locked ledger could not take are written when the lock is gone, and SIGINT ends the daemon too") {
  Host host;
  const ServedAgent held(host, "held");
  const ServedAgent free(host, "free");
  host.register_agents({held.entry(), free.entry()});
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_ticks(held.path, 1);
  {
    test::PlainDatabase other(e2e::ledger_file(held.path));
    other.run("BEGIN IMMEDIATE");
    await_ticks(free.path, 3);
    other.run("ROLLBACK");
  }
  await_ticks(held.path, 4);
  daemon.signal(SIGINT);
  CHECK(daemon.exit_code() == 0);
  // They share their looks: every tick of one is one of the other.
  CHECK(e2e::read_ticks(held.path) == e2e::read_ticks(free.path));
}

TEST_CASE("a ledger that is larger than it may be loses its oldest hours, keeps their CPU time, and the log says so") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(std::string(kEverySecond) + "storage: {max_size: 1MiB}\n");
  const auto meter_for = [&](std::size_t ticks) {
    auto daemon = host.start({"run"});
    await_ticks(agent.path, ticks);
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
    return daemon.errors();
  };
  CHECK(meter_for(1).find("ledger_too_large") == std::string::npos);

  // Two days of a row every 6 s, 3 MiB, of which nothing has been rolled up.
  constexpr int kRows = 28'800;
  test::PlainDatabase ledger(e2e::ledger_file(agent.path));
  ledger.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(kRows) +
             ") INSERT INTO resource_samples (ts, source, cpu_percent, fl_cpu_us, fl_interval_us, fl_processes)"
             " SELECT strftime('%s', 'now') * 1000 - 6000 * i, 'session:old', 10, 600000, 6000000, 1 FROM n;"
             "DELETE FROM fleetledger_marks WHERE name LIKE '%-rolled-to'");
  const auto log = meter_for(12);
  CHECK(log.find("storage.max_size is reached: what was older than") != std::string::npos);
  const auto used = [&] {
    return std::stoll(ledger.value("PRAGMA page_count")) - std::stoll(ledger.value("PRAGMA freelist_count"));
  };
  CHECK(used() * std::stoll(ledger.value("PRAGMA page_size")) <= 1 << 20);
  const auto left = std::stoll(ledger.value("SELECT count(*) FROM resource_samples WHERE source = 'session:old'"));
  CHECK(left > 0);
  CHECK(left < kRows);
  CHECK(std::stoll(ledger.value("SELECT min(ts) FROM resource_samples")) % 3'600'000 < 6'000);  // whole hours went
  // All of it, whether its rows are there or not.
  const auto summary = e2e::parse_json(host.run({"summary", "echo", "--since", "72h", "--json"}).output);
  CHECK(summary["sources"].with("source", "session:old")["cpuSeconds"].number == Approx(kRows * 0.6));
}

TEST_CASE("a second collector of the user says who holds the lock, and writes nothing") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_ticks(agent.path, 1);
  const auto pid = "pid " + std::to_string(daemon.pid());
  for (const auto& arguments : {std::vector<std::string>{"run"}, {"sample", "--record", "--ticks", "1"}}) {
    const auto second = host.run(arguments);
    CHECK(second.code == 1);
    CHECK(second.errors.find(pid) != std::string::npos);
  }
  // Reading beside it is allowed.
  CHECK(host.run({"sample", "--ticks", "1", "--interval", "100ms"}).code == 0);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("after a kill the ledger is whole, and the next collector goes on") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(kEverySecond);
  auto killed = host.start({"run"});
  await_ticks(agent.path, 2);
  killed.signal(SIGKILL);
  CHECK(killed.exit_code() == -SIGKILL);
  const auto before = e2e::read_ticks(agent.path);
  CHECK(e2e::is_intact(agent.path));

  auto next = host.start({"run"});
  await_ticks(agent.path, 2);
  next.signal(SIGTERM);
  CHECK(next.exit_code() == 0);
  auto after = e2e::read_ticks(agent.path);
  CHECK(after.size() >= before.size() + 2);
  for (const auto ts : before) {
    CHECK(after.count(ts) == 1);
  }
  CHECK(e2e::is_intact(agent.path));
}

TEST_CASE("SIGHUP puts a changed configuration in force") {
  Host host;
  const ServedAgent excluded(host, "excluded");
  const ServedAgent slow(host, "slow");
  const ServedAgent clock(host, "clock");
  host.register_agents({excluded.entry(), slow.entry(), clock.entry()});
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_ticks(slow.path, 1);
  await_ticks(excluded.path, 1);

  // Ticks a day apart do not come while this test runs, those of the clock do.
  host.configure(std::string("discovery: {exclude: [excluded], overrides: {slow: {idle_sample_interval: 1d}}}\n") +
                 kEverySecond);
  daemon.signal(SIGHUP);
  REQUIRE(daemon.complains("event=reloaded"));
  await_ticks(clock.path, 1);  // it may have been under way
  const auto last = *e2e::read_ticks(clock.path).rbegin();
  await_ticks(clock.path, 2);
  CHECK(*e2e::read_ticks(excluded.path).rbegin() <= last);
  CHECK(*e2e::read_ticks(slow.path).rbegin() <= last);

  host.configure(kEverySecond);
  daemon.signal(SIGHUP);
  await_ticks(slow.path, 1);
  await_ticks(excluded.path, 1);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("SIGHUP with a bad configuration says where it is bad and keeps the old one") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(kEverySecond);
  auto daemon = host.start({"run"});
  await_ticks(agent.path, 1);
  host.configure(std::string(kEverySecond) + "storage:\n  retentoin: 1d\nlog: {level: loud}\n");
  daemon.signal(SIGHUP);
  REQUIRE(daemon.complains("event=reload_refused"));
  CHECK(daemon.complains(host.config_file() + ":3: storage.retentoin"));
  CHECK(daemon.complains(host.config_file() + ":4: log.level"));
  await_ticks(agent.path, 2);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("nothing is left of a fleet and a collector that are ended") {
  Host host;
  const auto folder = host.folder().path();
  {
    const GeneratedFleet fleet(host, {"--agents", "1", "--sessions", "2", "--loads", "detached,flat"});
    host.configure("discovery: {overrides: {agent-1: {sample_interval: 1s}}}\n");
    auto daemon = host.start({"run"});
    await_ticks(fleet.agent("agent-1")["path"].text, 1);
    CHECK(test::processes_that_mention(folder).size() >= 6);  // generator, guard, tmux, server, two loads, collector
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
  }
  CHECK(test::await([&] { return test::processes_that_mention(folder).empty(); }));
  CHECK_FALSE(std::filesystem::exists(folder + "/fleet"));
}
