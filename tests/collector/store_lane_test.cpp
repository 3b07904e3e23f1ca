#include "collector/store_lane.h"

#include <catch2/catch.hpp>
#include <memory>

#include "tests/support/fake_runtime.h"
#include "tests/support/fake_store.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

LedgerKey ledger(const std::string& id) { return {{id, id, "/" + id}, LedgerLocation::agent}; }

/// A tick that can be told from others.
AgentTick tick(int number) {
  AgentTick made;
  made.samples.emplace_back().pid = number;
  return made;
}

std::vector<Pid> numbers(const std::vector<AgentTick>& ticks) {
  std::vector<Pid> found;
  for (const auto& each : ticks) {
    found.push_back(each.samples.front().pid);
  }
  return found;
}

struct Bench {
  FakeClock clock;
  FakeRuntime loop{clock};
  FakeStore store;
  int reports = 0;
  StoreLane lane{store, loop.runtime(), clock, [this](const LedgerKey&, const StoreLane::Health&) { ++reports; }};
};

}  // namespace

TEST_CASE("ticks of one agent are written in order, one at a time") {
  Bench bench;
  for (int i = 1; i <= 3; ++i) {
    bench.lane.append(ledger("a"), tick(i));
  }
  CHECK(bench.loop.jobs.size() == 1);
  bench.loop.run_jobs();
  CHECK(numbers(bench.store.written["a"]) == std::vector<Pid>{1, 2, 3});
  CHECK(bench.lane.health("a")->written == 3);
  CHECK(bench.reports == 3);
  CHECK(bench.lane.idle());
}

TEST_CASE("a locked ledger is tried again and nothing of it is lost") {
  Bench bench;
  bool locked = true;
  bench.store.before_append = [&](const LedgerKey&) -> Result<void> {
    return locked ? Result<void>(fail("locked", Error::Kind::busy)) : Result<void>();
  };
  bench.lane.append(ledger("a"), tick(1));
  bench.loop.run_jobs();
  bench.lane.append(ledger("a"), tick(2));
  CHECK(bench.loop.jobs.empty());  // it waits for its next try
  CHECK(bench.lane.health("a")->error->text == "locked");
  bench.loop.advance(StoreLane::kFirstRetry);
  bench.loop.run_jobs();
  locked = false;
  bench.loop.advance(2 * StoreLane::kFirstRetry);
  bench.loop.run_jobs();
  CHECK(numbers(bench.store.written["a"]) == std::vector<Pid>{1, 2});
  CHECK_FALSE(bench.lane.health("a")->error);
  CHECK_FALSE(bench.lane.health("a")->failing_since);
  CHECK(bench.lane.health("a")->errors == 2);
}

TEST_CASE("of a queue that is full the oldest tick goes and is counted") {
  Bench bench;
  bench.store.before_append = [](const LedgerKey&) -> Result<void> { return fail("no space"); };
  for (int i = 1; i <= 15; ++i) {
    bench.lane.append(ledger("a"), tick(i));
    bench.loop.run_jobs();
  }
  CHECK(bench.lane.health("a")->dropped == 5);
  CHECK(bench.lane.dropped() == 5);
  bench.store.before_append = nullptr;
  bench.loop.advance(StoreLane::kLastRetry);
  bench.loop.run_jobs();
  CHECK(numbers(bench.store.written["a"]) == std::vector<Pid>{6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
}

TEST_CASE("a job that hangs takes its slot away for a moment, not for good") {
  Bench bench;
  for (std::size_t i = 0; i < StoreLane::kSlots; ++i) {
    bench.lane.append(ledger("hung " + std::to_string(i)), tick(1));
  }
  bench.lane.append(ledger("e"), tick(1));
  REQUIRE(bench.loop.jobs.size() == StoreLane::kSlots);  // e waits
  bench.loop.advance(StoreLane::kPassOn);
  REQUIRE(bench.loop.jobs.size() == StoreLane::kSlots + 1);
  bench.loop.run_job(StoreLane::kSlots);
  CHECK(bench.store.written["e"].size() == 1);
}

TEST_CASE("an agent whose disk hangs is said to fail, since when, and loses only what its queue cannot hold") {
  Bench bench;
  const auto begun = bench.clock.wall_now;
  for (int i = 1; i <= 13; ++i) {
    bench.lane.append(ledger("hung"), tick(i));
  }
  bench.loop.advance(StoreLane::kHanging);
  REQUIRE(bench.loop.jobs.size() == 1);
  const auto* health = bench.lane.health("hung");
  REQUIRE(health->error);
  CHECK(health->error->kind == Error::Kind::unavailable);
  CHECK(health->failing_since == begun);
  CHECK(bench.reports == 1);
  CHECK(health->dropped == 2);  // 1 is under way, ten wait
  bench.loop.advance(1h);
  CHECK(bench.reports == 1);
  bench.loop.run_jobs();  // the disk answers
  CHECK(numbers(bench.store.written["hung"]) == std::vector<Pid>{1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13});
  CHECK_FALSE(health->error);
  CHECK_FALSE(health->failing_since);
  CHECK(bench.lane.idle());
}

TEST_CASE("an agent that was slow once gets its turn though another one's disk hangs for good") {
  Bench bench;
  bench.store.before_append = [&](const LedgerKey&) -> Result<void> {
    bench.clock.monotonic_now += 2s;
    return {};
  };
  for (const auto* id : {"slow", "hung"}) {
    bench.lane.append(ledger(id), tick(1));
  }
  bench.loop.run_jobs();
  bench.store.before_append = nullptr;
  bench.lane.append(ledger("hung"), tick(2));
  bench.lane.append(ledger("slow"), tick(2));
  REQUIRE(bench.loop.jobs.size() == 1);  // that of hung, which never ends
  bench.loop.advance(2 * StoreLane::kHanging);
  REQUIRE(bench.loop.jobs.size() == 2);
  bench.loop.run_job(1);
  CHECK(bench.store.written["slow"].size() == 2);
}

TEST_CASE("however many disks hang, no more jobs are under way than the pool has threads for") {
  Bench bench;
  for (int i = 0; i < 50; ++i) {
    bench.lane.append(ledger("a" + std::to_string(i)), tick(1));
  }
  for (int second = 0; second < 60; ++second) {
    bench.loop.advance(1s);
    CHECK(bench.loop.jobs.size() <= StoreLane::kSlots + StoreLane::kLate);
  }
  CHECK(bench.loop.jobs.size() == StoreLane::kSlots + StoreLane::kLate);
  bench.lane.drain([] {});
  CHECK(bench.loop.jobs.size() == StoreLane::kMostJobs);
  bench.loop.run_jobs();  // they answer, and the others' turn comes
  CHECK(bench.store.written.size() == 50);
}

TEST_CASE("agents whose jobs were slow share one slot until a job is quick again") {
  Bench bench;
  bench.store.before_append = [&](const LedgerKey& which) -> Result<void> {
    if (which.agent.id != "quick") {
      bench.clock.monotonic_now += 2s;
    }
    return {};
  };
  for (const auto* id : {"x", "y", "z"}) {
    bench.lane.append(ledger(id), tick(1));
  }
  bench.loop.run_jobs();
  for (const auto* id : {"x", "y", "z", "quick"}) {
    bench.lane.append(ledger(id), tick(2));
  }
  CHECK(bench.loop.jobs.size() == 2);  // one of x, y, z, and quick
  bench.loop.run_job(1);
  CHECK(bench.store.written["quick"].size() == 1);
  bench.store.before_append = nullptr;  // the disk is well again
  bench.loop.run_jobs();
  for (const auto* id : {"x", "y", "z"}) {
    CHECK(bench.store.written[id].size() == 2);
    bench.lane.append(ledger(id), tick(3));
  }
  CHECK(bench.loop.jobs.size() == StoreLane::kSlots);
}

TEST_CASE("an agent that is gone has its handles let go and leaves nothing behind") {
  Bench bench;
  bench.lane.append(ledger("a"), tick(1));
  bench.lane.release(ledger("a"));
  bench.loop.run_jobs();
  CHECK(bench.store.written["a"].size() == 1);
  CHECK(bench.store.released["a"] == 1);
  CHECK(bench.lane.health("a") == nullptr);
  bench.lane.release(ledger("never seen"));
  CHECK(bench.lane.idle());
}

TEST_CASE("an agent that comes back while it is being let go keeps its ticks") {
  Bench bench;
  bench.lane.append(ledger("a"), tick(1));
  bench.loop.run_jobs();
  bench.lane.release(ledger("a"));
  bench.lane.append(ledger("a"), tick(2));
  bench.loop.run_jobs();
  CHECK(numbers(bench.store.written["a"]) == std::vector<Pid>{1, 2});
  REQUIRE(bench.lane.health("a") != nullptr);
  CHECK(bench.lane.idle());
}

TEST_CASE("what was counted of an agent goes on when it comes back, until it is forgotten") {
  Bench bench;
  bench.lane.append(ledger("a"), tick(1));
  bench.loop.run_jobs();
  bench.store.before_append = [](const LedgerKey&) -> Result<void> { return fail("no such folder"); };
  bench.lane.append(ledger("a"), tick(2));
  bench.lane.release(ledger("a"));
  bench.loop.run_jobs();
  const auto check = [&](std::uint64_t written, std::uint64_t errors, std::uint64_t dropped) {
    const auto counted = bench.lane.counted("a");
    CHECK(counted.written == written);
    CHECK(counted.rows == written);
    CHECK(counted.errors == errors);
    CHECK(counted.dropped == dropped);
    CHECK_FALSE(counted.error);
  };
  CHECK(bench.lane.health("a") == nullptr);
  check(1, 1, 1);
  bench.store.before_append = nullptr;
  bench.lane.append(ledger("a"), tick(3));
  check(1, 1, 1);
  bench.loop.run_jobs();
  check(2, 1, 1);
  bench.lane.release(ledger("a"));
  bench.loop.run_jobs();
  bench.lane.forget("a");
  check(0, 0, 0);
}

TEST_CASE("a gone agent whose ledger cannot be written is given up after one try") {
  Bench bench;
  bench.store.before_append = [](const LedgerKey&) -> Result<void> { return fail("no such folder"); };
  bench.lane.append(ledger("a"), tick(1));
  bench.lane.append(ledger("a"), tick(2));
  bench.lane.release(ledger("a"));
  bench.loop.run_jobs();
  CHECK(bench.lane.health("a") == nullptr);
  CHECK(bench.lane.dropped() == 2);
  CHECK(bench.lane.idle());
}

TEST_CASE("draining tries everything once more and then ends") {
  Bench bench;
  bool locked = true;
  bench.store.before_append = [&](const LedgerKey& which) -> Result<void> {
    return locked || which.agent.id == "bad" ? Result<void>(fail("locked", Error::Kind::busy)) : Result<void>();
  };
  for (const auto* id : {"good", "bad"}) {
    bench.lane.append(ledger(id), tick(1));
  }
  bench.loop.run_jobs();
  locked = false;
  bool drained = false;
  bench.lane.drain([&] { drained = true; });
  CHECK_FALSE(drained);
  bench.loop.run_jobs();
  CHECK(drained);
  CHECK(bench.store.written["good"].size() == 1);
  CHECK(bench.lane.dropped() == 1);
}

TEST_CASE("two disks that began to hang just before the end took the last ticks of all other agents with them") {
  Bench bench;
  for (const auto* id : {"hung a", "hung b", "c", "d", "e"}) {
    bench.lane.append(ledger(id), tick(1));
  }
  REQUIRE(bench.loop.jobs.size() == StoreLane::kSlots);  // those of both that hang
  bench.lane.drain([] {});
  while (bench.loop.jobs.size() > StoreLane::kSlots) {
    bench.loop.run_job(StoreLane::kSlots);
  }
  for (const auto* id : {"c", "d", "e"}) {
    CHECK(bench.store.written[id].size() == 1);
  }
}

TEST_CASE("who appends is told once what became of it: how the ledger stands, or that it was dropped") {
  Bench bench;
  std::vector<std::string> told;
  const auto append = [&](const std::string& name) {
    bench.lane.append(ledger("a"), tick(1), [&told, name](const LedgerStanding* standing) {
      told.push_back(name + (standing == nullptr ? " dropped" : " " + standing->place));
    });
  };
  append("first");
  CHECK(told.empty());
  bench.loop.run_jobs();
  CHECK(told == std::vector<std::string>{"first fake:a"});
  bench.store.before_append = [](const LedgerKey&) -> Result<void> { return fail("no space"); };
  append("second");
  bench.loop.run_jobs();
  CHECK(told.size() == 1);  // it is tried again
  for (std::size_t i = 0; i < StoreLane::kQueueLength; ++i) {
    bench.lane.append(ledger("a"), tick(2));
  }
  CHECK(told == std::vector<std::string>{"first fake:a", "second dropped"});
  append("last");
  bench.lane.drain([] {});
  bench.loop.run_jobs();
  CHECK(told.back() == "last dropped");
  CHECK(told.size() == 3);
}

TEST_CASE("a drain with nothing to do ends at once") {
  Bench bench;
  bool drained = false;
  bench.lane.drain([&] { drained = true; });
  CHECK(drained);
}

TEST_CASE("a job that ends after the lane is gone touches nothing of it") {
  FakeClock clock;
  FakeRuntime loop{clock};
  FakeStore store;
  int reports = 0;
  auto lane = std::make_unique<StoreLane>(store, loop.runtime(), clock,
                                          [&](const LedgerKey&, const StoreLane::Health&) { ++reports; });
  lane->append(ledger("a"), tick(1));
  lane.reset();
  loop.run_jobs();
  loop.advance(1h);
  CHECK(store.written["a"].size() == 1);
  CHECK(reports == 0);
}
