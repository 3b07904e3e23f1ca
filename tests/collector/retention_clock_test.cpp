#include "collector/retention_clock.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

constexpr WallTime kBoot{std::chrono::hours{480'000}};
constexpr MonotonicTime at(Micros running) { return MonotonicTime{running}; }

}  // namespace

TEST_CASE("retention counts by a clock that was set forward only when that has held for an hour") {
  RetentionClock clock;
  CHECK(clock.now(kBoot, at(0s)) == kBoot);
  CHECK(clock.now(kBoot + 10min, at(10min)) == kBoot + 10min);
  CHECK(clock.now(kBoot + 24h + 11min, at(11min)) == kBoot + 11min);
  CHECK(clock.now(kBoot + 24h + 70min, at(70min)) == kBoot + 70min);
  CHECK(clock.now(kBoot + 24h + 71min, at(71min)) == kBoot + 24h + 71min);
  CHECK(clock.now(kBoot + 24h + 72min, at(72min)) == kBoot + 24h + 72min);
}

TEST_CASE("a clock that was wrong for a while made nothing too old") {
  RetentionClock clock;
  CHECK(clock.now(kBoot, at(0s)) == kBoot);
  CHECK(clock.now(kBoot + 1000h, at(1min)) == kBoot + 1min);
  CHECK(clock.now(kBoot + 30min, at(30min)) == kBoot + 30min);
  CHECK(clock.now(kBoot + 1000h, at(31min)) == kBoot + 31min);  // the hour begins again
  CHECK(clock.now(kBoot + 1000h + 59min, at(90min)) == kBoot + 90min);
  CHECK(clock.now(kBoot + 2000h, at(92min)) == kBoot + 92min);  // and with each other step
  CHECK(clock.now(kBoot + 2000h + 59min, at(151min)) == kBoot + 151min);
}

TEST_CASE("retention follows a clock that is set back, and small corrections, at once") {
  RetentionClock clock;
  CHECK(clock.now(kBoot, at(0s)) == kBoot);
  CHECK(clock.now(kBoot - 24h, at(1min)) == kBoot - 24h);
  CHECK(clock.now(kBoot - 24h + 2min, at(2min)) == kBoot - 24h + 2min);
  auto wall = kBoot - 24h + 2min;
  for (int minute = 3; minute < 200; ++minute) {
    wall += 61s;
    CHECK(clock.now(wall, at(std::chrono::minutes(minute))) == wall);
  }
}
