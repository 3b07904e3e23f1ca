#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <poll.h>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/faulty_fleet.h"
#include "tests/soak/parameters.h"

using namespace fleetledger;
using namespace fleetledger::e2e;

// One period is a second, so that ten seconds fill the queue of a ledger.
TEST_CASE("another process holds a ledger's lock: the others' ticks are on time, and what is missing was counted") {
  const auto seconds = static_cast<int>(soak::parameter("SOAK_LOCK_SECONDS", 3));
  FaultyFleet fleet({"good", "locked"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  const auto ticks_before = fleet.ticks("good");
  const auto locked_before = fleet.ticks("locked");
  test::PlainDatabase holder(fleet.file("locked"));
  holder.run("BEGIN IMMEDIATE");
  ::poll(nullptr, 0, seconds * 1000);
  const auto ticks = fleet.ticks("good") - ticks_before;
  CHECK(fleet.ticks("locked") <= locked_before + 1);  // one may have come between counting and locking
  CHECK(fleet.dropped("good") == 0);
  const auto state = fleet.listed("locked")["state"].text;
  if (seconds > 12) {
    CHECK(state == "unavailable");
    CHECK(fleet.about("locked")["reason"].text.find("another process holds it") != std::string::npos);
  }
  const auto unlocked = std::chrono::steady_clock::now();
  holder.run("ROLLBACK");
  fleet.await_well("locked");
  const std::chrono::duration<double> until_written = std::chrono::steady_clock::now() - unlocked;
  const auto dropped = fleet.dropped("locked");
  const auto skipped = fleet.metric("fleetledger_ticks_skipped_total{reason=\"late\"}") +
                       fleet.metric("fleetledger_ticks_skipped_total{reason=\"running\"}");
  fleet.end();
  CHECK(static_cast<double>(fleet.missing("locked", "good")) == dropped);
  std::printf(
      "locked for %d s: %zu ticks of the other meanwhile, %.0f left out; %.0f ticks dropped, state %s, "
      "well %.1f s after the end\n",
      seconds, ticks, skipped, dropped, state.c_str(), until_written.count());
  for (const auto& [name, agent] : fleet.agents) {
    CHECK(is_intact(agent->path));
  }
}
