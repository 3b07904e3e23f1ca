#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <iterator>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/faulty_fleet.h"
#include "tests/soak/parameters.h"

using namespace fleetledger;
using namespace fleetledger::e2e;

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

}  // namespace

// One period is a second, so that ten seconds fill the queue of a ledger.
TEST_CASE("another process holds a ledger's lock: the others' ticks are on time, and what is missing was counted") {
  const auto seconds = static_cast<double>(soak::parameter("SOAK_LOCK_SECONDS", 5));
  const bool for_long = seconds > 12;  // than a ledger may be busy before it is called unavailable
  FaultyFleet fleet({"good", "locked"});
  for (const auto& [name, agent] : fleet.agents) {
    fleet.await_ticks(name, 1);
  }
  const auto left_out_before = fleet.left_out();
  test::PlainDatabase holder(fleet.file("locked"));
  holder.run("BEGIN IMMEDIATE");
  const auto locked_before = fleet.ticks("locked");
  const auto locked = Clock::now();
  const auto ticks_before = fleet.ticks("good");
  // None of the other's ticks waits for the lock: it would not come before the lock is gone.
  do {
    fleet.await_ticks("good", 1);
  } while (seconds_since(locked) < seconds);
  const auto elapsed = seconds_since(locked);
  const auto ticks = fleet.ticks("good") - ticks_before;
  CHECK(fleet.ticks("locked") == locked_before);
  CHECK(fleet.dropped("good") == 0);
  const auto state = fleet.listed("locked")["state"].text;
  if (for_long) {
    CHECK(state == "unavailable");
    CHECK(fleet.about("locked")["reason"].text.find("another process holds it") != std::string::npos);
    // One waits in the store, ten in the queue; one may have come at either end.
    CHECK(static_cast<double>(fleet.ticks("good") - ticks_before) - fleet.dropped("locked") <= 13);
  }
  const auto unlocked = Clock::now();
  holder.run("ROLLBACK");
  fleet.await_well("locked");
  const auto until_written = seconds_since(unlocked);
  const auto dropped = fleet.dropped("locked");
  const auto moments = read_ticks(fleet.path("good"));
  const auto left_out = fleet.left_out() - left_out_before;  // after the last of the ticks that count
  fleet.end();
  CHECK(static_cast<double>(fleet.missing("locked", "good")) == dropped);
  // A tick a second, and each second without one was counted as skipped: a look that comes late in its second and one
  // that comes early may seem to leave one between them.
  const auto lasted = static_cast<double>(*moments.rbegin() -
                                          *std::next(moments.begin(), static_cast<std::ptrdiff_t>(ticks_before) - 1)) /
                      1000;
  CHECK(static_cast<double>(moments.size() - ticks_before) + left_out + 1.5 >= lasted);
  // What others leave of the host's time is not the lock's fault: in short runs much is granted.
  CHECK(static_cast<double>(ticks) * (for_long ? 1 : 4) + 1 >= elapsed);
  std::printf(
      "locked for %.1f s: %zu ticks of the other meanwhile, %.0f left out; %.0f ticks dropped, state %s, "
      "well %.1f s after the end\n",
      elapsed, ticks, left_out, dropped, state.c_str(), until_written);
  for (const auto& [name, agent] : fleet.agents) {
    CHECK(is_intact(agent->path));
  }
}
