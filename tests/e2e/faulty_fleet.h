#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"
#include "tests/support/faulty_disk.h"

namespace fleetledger::e2e {

/// By /proc: what starts no program takes less than its second on a busy host, too.
inline constexpr auto kServedEverySecond =
    "http: {listen: [\"127.0.0.1:0\", \"unix:~/socket\"]}\n"
    "sampling: {source: procfs, sample_interval: 1s, idle_sample_interval: 1s}\n"
    "storage: {location: agent}\n";

/// Agents of one host under a collector that serves, whose disks fail as the test says.
struct FaultyFleet {
  explicit FaultyFleet(const std::vector<std::string>& names) {
    host.set_variables(disk.environment());
    host.configure(kServedEverySecond);
    for (const auto& name : names) {
      add(name);
    }
    served = std::make_unique<Served>(host);
  }

  void add(const std::string& name) {
    agents.emplace(name, std::make_unique<ServedAgent>(host, name));
    std::vector<Host::Entry> entries;
    for (const auto& [called, agent] : agents) {
      entries.push_back(agent->entry());
    }
    host.register_agents(entries);
  }

  [[nodiscard]] const std::string& path(const std::string& name) const { return agents.at(name)->path; }
  [[nodiscard]] std::string file(const std::string& name) const { return ledger_file(path(name)); }
  [[nodiscard]] std::size_t ticks(const std::string& name) const { return read_ticks(path(name)).size(); }
  void await_ticks(const std::string& name, std::size_t more) const {
    INFO(name);
    const auto before = ticks(name);
    REQUIRE(test::await([&] { return ticks(name) >= before + more; }));
  }

  [[nodiscard]] Json listed(const std::string& name) const {
    return parse_json(served->get("/agents", served->operators_token()).body)["agents"].with("name", name);
  }
  [[nodiscard]] Json about(const std::string& name) const {
    return parse_json(served->get("/agents/" + listed(name)["id"].text, served->operators_token()).body);
  }
  /// Waits until it is said that its ledger cannot be used: why, and since when.
  void await_unavailable(const std::string& name, const std::string& reason) const {
    INFO(name);
    CHECK(test::await([&] {
      const auto said = about(name);
      return said["state"].text == "unavailable" && said["reason"].text.find(reason) != std::string::npos &&
             !said["ledger"].is_null() && !said["ledger"]["failingSince"].is_null();
    }));
    CHECK(about(name)["reason"].text.find(reason) != std::string::npos);
  }
  void await_well(const std::string& name) const {
    INFO(name);
    await_ticks(name, 1);
    CHECK(test::await([&] {
      const auto said = about(name);
      return said["state"].text == "idle" && said["ledger"]["failingSince"].is_null();
    }));
  }

  /// Ticks of an agent that the collector says it has left out: all are due at the same moments.
  [[nodiscard]] double left_out() const { return served->skipped() / static_cast<double>(agents.size()); }
  [[nodiscard]] double dropped(const std::string& name) const {
    return served->metric("fleetledger_ledger_dropped_ticks_total{agent=\"" + listed(name)["id"].text + "\"}");
  }

  void end() {
    served->daemon.signal(SIGTERM);
    INFO(served->daemon.errors());
    CHECK(served->daemon.exit_code() == 0);
  }

  /// The same, and prints how long it took.
  void end_and_say_when() {
    const auto asked = std::chrono::steady_clock::now();
    end();
    std::printf("ended %.3f s after SIGTERM\n",
                std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count());
  }

  /// After the end: what this ledger lacks of the ticks of `good`, which was never in want; but for the last, which a
  /// busy host may not have had the time to write.
  [[nodiscard]] std::size_t missing(const std::string& name, const std::string& good) const {
    const auto all = read_ticks(path(good));
    const auto kept = read_ticks(path(name));
    REQUIRE_FALSE(kept.empty());
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [&](const auto ts) { return ts < *kept.rbegin() && !kept.contains(ts); }));
  }

  Host host;
  test::FaultyDisk disk{host / "faults"};
  std::map<std::string, std::unique_ptr<ServedAgent>> agents;
  std::unique_ptr<Served> served;
};

}  // namespace fleetledger::e2e
