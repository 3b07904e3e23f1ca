#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <ctime>
#include <map>
#include <set>
#include <tuple>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/soak/parameters.h"
#include "tests/support/faulty_disk.h"

using namespace fleetledger;
using e2e::Host;
using e2e::Row;
using e2e::ServedAgent;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kConfig =
    "sampling: {sample_interval: 1s, idle_sample_interval: 1s, ps: %PS%}\n"
    "storage: {retention: 1h}\n";
const std::vector<std::string> kTenASecond{"sample", "--record", "--interval", "100ms", "--ticks", "1000000"};
constexpr int kSessions = 3;
constexpr int kOldRows = 12'000;  // over the retention: a tick deletes 5,000 of them
constexpr std::array kOldSources{"agent-server", "session:old", "aggregate"};
constexpr std::int64_t kBetweenOldMs = 30'000;  // so that they are of more than a day

/// The rows of one tick are there with their sum, or none of them is.
void check_whole(const std::vector<Row>& rows) {
  std::map<std::int64_t, std::vector<const Row*>> ticks;
  for (const auto& row : rows) {
    ticks[row.ts].push_back(&row);
  }
  std::size_t torn = 0;
  for (const auto& [ts, parts] : ticks) {
    std::int64_t cpu = 0;
    std::int64_t resident = 0;
    std::int64_t processes = 0;
    const Row* sum = nullptr;
    for (const auto* part : parts) {
      if (part->source == "aggregate") {
        sum = part;
      } else {
        cpu += part->cpu_us.value_or(0);
        resident += part->rss_bytes;
        processes += part->processes.value_or(0);
      }
    }
    torn += sum == nullptr || sum->cpu_us != cpu || sum->rss_bytes != resident || sum->processes != processes ? 1 : 0;
  }
  CHECK(torn == 0);
}

std::set<std::pair<std::int64_t, std::string>> keys(const std::vector<Row>& rows) {
  std::set<std::pair<std::int64_t, std::string>> found;
  for (const auto& row : rows) {
    found.emplace(row.ts, row.source);
  }
  return found;
}

/// Without those that are to be deleted.
std::vector<Row> recent(std::vector<Row> rows) {
  std::erase_if(rows, [](const Row& row) { return row.ts < (std::int64_t{std::time(nullptr)} - 3600) * 1000; });
  return rows;
}

std::size_t recent_ticks(const std::string& agent_path) {
  const auto rows = recent(e2e::read_rows(agent_path));
  return static_cast<std::size_t>(
      std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.source == "aggregate"; }));
}

/// What rows of a source come to.
struct Sum {
  std::int64_t rows = 0;
  std::int64_t cpu_us = 0;
};
using Sums = std::map<std::string, Sum>;  ///< by source

std::string text_of(const Sums& sums) {
  std::string text;
  for (const auto& [source, sum] : sums) {
    text += source + ": " + std::to_string(sum.rows) + " rows, " + std::to_string(sum.cpu_us) + " us\n";
  }
  return text;
}

/// Rows of ours that are older than the retention of rows and are not rolled up yet, as if the collector had been off
/// for long: they will be, by hours and days, and be deleted. No two hours of them come to the same. Added to
/// `planted`.
void add_old_rows(const std::string& agent_path, std::uint64_t days, Sums& planted) {
  const auto oldest = (std::int64_t{std::time(nullptr)} - (40 + static_cast<std::int64_t>(days)) * 86'400) * 1000;
  const auto first_us = 1000 + static_cast<std::int64_t>(days);
  test::PlainDatabase(e2e::ledger_file(agent_path))
      .run("BEGIN IMMEDIATE; UPDATE fleetledger_marks SET value = min(value, " + std::to_string(oldest) +
           " / 86400000 * 86400000) WHERE name IN ('hours-rolled-to', 'days-rolled-to');"
           "INSERT INTO resource_samples (ts, source, pid, cpu_percent, rss_bytes, fl_cpu_us, fl_interval_us,"
           " fl_processes) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < " +
           std::to_string(kOldRows - 1) + ") SELECT " + std::to_string(oldest) + " + i / 3 * " +
           std::to_string(kBetweenOldMs) +
           ", CASE i % 3 WHEN 0 THEN 'agent-server' WHEN 1 THEN 'session:old' ELSE 'aggregate' END, 0, 1.0, 4096, " +
           std::to_string(first_us) + " + i * 13, " + std::to_string(kBetweenOldMs * 1000) + ", 1 FROM n; COMMIT");
  for (std::int64_t i = 0; i < kOldRows; ++i) {
    auto& sum = planted[kOldSources.at(static_cast<std::size_t>(i % 3))];
    ++sum.rows;
    sum.cpu_us += first_us + i * 13;
  }
}

void add(Sums& sums, const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    auto& sum = sums[row.source];
    ++sum.rows;
    sum.cpu_us += row.cpu_us.value_or(0);
  }
}

/// What the program itself says that all of a ledger comes to, rows and rollups.
Sums summary_of(Host& host, const std::string& agent) {
  const auto said = host.run({"summary", agent, "--since", "400d", "--json"});
  INFO(said.errors);
  REQUIRE(said.code == 0);
  Sums sums;
  for (const auto& source : e2e::parse_json(said.output)["sources"].items) {
    sums[source["source"].text] = {std::llround(source["sampleCount"].number),
                                   std::llround(source["cpuSeconds"].number * 1e6)};
  }
  return sums;
}

/// Old rows that are still there, hours of them that are rolled up, and days.
struct Rolled {
  std::int64_t rows = 0;
  std::int64_t hours = 0;
  std::int64_t days = 0;
};
Rolled count_rolled(const std::string& agent_path) {
  test::PlainDatabase ledger(e2e::ledger_file(agent_path));
  const auto count = [&](const std::string& what) { return std::stoll(ledger.value("SELECT count(*) FROM " + what)); };
  const auto old = std::to_string((std::int64_t{std::time(nullptr)} - 86'400) * 1000);
  return {count("resource_samples WHERE ts < " + old), count("fleetledger_rollups WHERE start < " + old),
          count("fleetledger_day_rollups WHERE start < " + old)};
}

}  // namespace

// Every kill is somewhere else: in a write that the slow disk draws out, in a checkpoint, while old rows are rolled up
// and deleted, between ticks, while the collector starts. What was read before the kill was committed, so it has to be
// there after; and what the ledger says that it all comes to is what was put into it.
TEST_CASE("whenever the collector is killed its ledgers are whole, nothing committed is lost, and it goes on") {
  const auto kills = soak::parameter("SOAK_KILLS", 8);
  auto random = soak::seeded();
  Host host;
  const test::FaultyDisk disk(host / "faults");
  host.set_variables(disk.environment());
  std::string config = kConfig;
  config.replace(config.find("%PS%"), 4,
                 host.folder().script("noted-ps", "echo >>'" + host / "looks" + "'\nexec /usr/bin/ps \"$@\""));
  host.configure(config);

  std::vector<std::unique_ptr<ServedAgent>> agents;
  std::vector<Host::Entry> entries;
  for (const auto* name : {"ada", "bob", "cy", "dot"}) {
    agents.push_back(std::make_unique<ServedAgent>(host, name));
    entries.push_back(agents.back()->entry());
    for (int i = 0; i < kSessions; ++i) {
      const auto session = std::string(name) + "-" + std::to_string(i);
      host.tmux({"new-session", "-d", "-s", session, "sleep 100000"});
      host.write_session(agents.back()->path, session, session);
    }
    disk.begin(name, "slow");
  }
  host.register_agents(entries);

  const auto looks = [&] { return test::lines_of(test::text_of_file(host / "looks")).size(); };
  std::map<std::string, std::set<std::pair<std::int64_t, std::string>>> committed;
  std::map<std::string, Sums> planted;
  std::size_t checked = 0;
  std::size_t amid_rolling = 0;
  std::vector<double> seconds_to_look;
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    const auto before = looks();
    const auto started = Clock::now();
    // Ten ticks a second draw more kills into writes than `run` could.
    auto daemon = host.start(kill % 3 == 0 ? std::vector<std::string>{"run"} : kTenASecond);
    REQUIRE(test::await([&] { return looks() > before; }));
    seconds_to_look.push_back(std::chrono::duration<double>(Clock::now() - started).count());
    const auto moment = started + std::chrono::milliseconds{soak::pick(random, 50, 2500)};
    if (kill % 2 == 1) {
      for (const auto& agent : agents) {
        if (!e2e::read_ticks(agent->path).empty()) {
          add_old_rows(agent->path, kill, planted[agent->name]);
        }
      }
    }
    ::poll(nullptr, 0,
           static_cast<int>(std::max<std::int64_t>(
               0, std::chrono::duration_cast<std::chrono::milliseconds>(moment - Clock::now()).count())));
    for (const auto& agent : agents) {
      committed[agent->name] = keys(recent(e2e::read_rows(agent->path)));
    }
    daemon.signal(SIGKILL);
    CHECK(daemon.exit_code() == -SIGKILL);
    if (soak::pick(random, 0, 1) == 0) {
      continue;  // what the kill left is then found by the next collector first
    }
    for (const auto& agent : agents) {
      INFO("SOAK_KILLS " << kill << ", agent " << agent->name);
      auto rows = e2e::read_rows(agent->path);
      CHECK((rows.empty() || e2e::is_intact(agent->path)));
      const auto found = keys(rows);
      CHECK(found.size() == rows.size());
      const auto& seen = committed[agent->name];
      CHECK(std::includes(found.begin(), found.end(), seen.begin(), seen.end()));
      rows = recent(std::move(rows));
      check_whole(rows);
      if (!rows.empty()) {
        auto sums = planted[agent->name];
        add(sums, rows);
        CHECK(text_of(summary_of(host, agent->name)) == text_of(sums));
        const auto rolled = count_rolled(agent->path);
        ++checked;
        amid_rolling += rolled.rows > 0 && rolled.hours > 0 ? 1 : 0;
      }
    }
  }

  std::size_t ticks_of_killed = 0;
  auto daemon = host.start({"run"});
  for (const auto& agent : agents) {
    const auto ticks = recent_ticks(agent->path);
    ticks_of_killed += ticks;
    CHECK(test::await([&] { return recent_ticks(agent->path) > ticks; }));
    CHECK(test::await([&] {
      const auto rolled = count_rolled(agent->path);
      return rolled.rows == 0 && (rolled.days > 0 || planted[agent->name].empty());
    }));
  }
  daemon.signal(SIGTERM);
  const int code = daemon.exit_code();
  CAPTURE(daemon.errors());
  CHECK(code == 0);
  for (const auto& agent : agents) {
    CHECK(e2e::is_intact(agent->path));
    const auto rows = recent(e2e::read_rows(agent->path));
    check_whole(rows);
    auto sums = planted[agent->name];
    add(sums, rows);
    CHECK(text_of(summary_of(host, agent->name)) == text_of(sums));
  }
  CHECK(ticks_of_killed > 0);
  std::sort(seconds_to_look.begin(), seconds_to_look.end());
  // Whatever was left behind: that it collects again within a second is for a long run; a short one, on a host that
  // others keep busy, tells only that a start does not wait for anything.
  CHECK(seconds_to_look[seconds_to_look.size() / 2] < (kills >= 100 ? 1 : 20));
  std::printf("%zu sums of ledgers checked after kills, %zu of them with old rows half rolled up\n", checked,
              amid_rolling);
  std::printf("%llu kills in %zu ticks; from start to the first look: median %.3f s, most %.3f s\n",
              static_cast<unsigned long long>(kills), ticks_of_killed, seconds_to_look[seconds_to_look.size() / 2],
              seconds_to_look.back());
}

TEST_CASE("a child that was being started when its collector was killed does not keep the next collector out") {
  Host host;
  const test::FaultyDisk disk(host / "faults");
  host.set_variables(disk.environment());
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  disk.begin("exec", "stall");
  auto killed = host.start({"run"});
  REQUIRE(test::await([&] { return disk.stalled("exec") > 0; }));
  killed.signal(SIGKILL);
  CHECK(killed.exit_code() == -SIGKILL);

  host.set_variables({});
  auto next = host.start({"run"});
  CHECK(test::await([&] { return !e2e::read_ticks(agent.path).empty() || next.ended(); }));
  CHECK_FALSE(next.ended());
  disk.end("exec", "stall");
  next.signal(SIGTERM);
  CHECK(next.exit_code() == 0);
}
