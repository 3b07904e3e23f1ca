#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>

#include "tests/e2e/host.h"
#include "tests/e2e/ledger.h"
#include "tests/soak/parameters.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
using soak::parameter;

TEST_CASE("of thousands of processes that come and go between looks nothing is lost, and nothing is invented") {
  const auto births = std::to_string(parameter("SOAK_BIRTHS", 500));
  const auto micros = std::to_string(parameter("SOAK_MICROS", 2'000));
  const auto per_second = std::to_string(parameter("SOAK_PER_SECOND", 0));
  for (const std::string source : {"ps", "procfs"}) {
    CAPTURE(source);
    Host host;
    host.configure("sampling: {source: " + source + "}\n");
    const auto path = host.make_agent("echo");
    auto server = host.start_program({BIRTHS_PROGRAM, births, micros, per_second});
    REQUIRE(test::await([&] { return !server.lines().empty(); }));
    host.register_agents({{"echo", path, server.pid(), ""}});
    auto sampling = host.start({"sample", "--record", "--interval", "500ms", "--ticks", "1000000"});
    const auto ticks = [&] { return read_ticks(path).size(); };
    REQUIRE(test::await([&] { return ticks() >= 2; }));

    server.signal(SIGUSR1);
    // As long as it takes: the number of births is the test's.
    while (server.lines().size() < 3) REQUIRE(test::await([&, seen = ticks()] { return ticks() > seen; }));
    const auto done = ticks();
    REQUIRE(test::await([&] { return ticks() >= done + 2; }));
    const auto truth = std::stoll(server.lines().at(1));
    long long told = 0;
    for (const auto& row : read_rows(path)) {
      CHECK(row.cpu_us.value() >= 0);
      told += row.source == "aggregate" ? row.cpu_us.value() : 0;
    }
    std::printf("%s: %s births, pids began anew %s times: %.3f of %.3f s in %zu ticks\n", source.c_str(),
                births.c_str(), server.lines().at(2).c_str(), static_cast<double>(told) / 1e6,
                static_cast<double>(truth) / 1e6, ticks());
    // Never more than was used, and less by no more than the kernel's tick of 10 ms, or what ps prints of it, at the
    // ends.
    const auto ends = 100'000LL;
    CHECK(told <= truth + truth / 100 + ends);
    CHECK(told >= truth - truth / 100 - ends);
    sampling.signal(SIGTERM);
    CHECK(sampling.exit_code() == 0);
  }
}
