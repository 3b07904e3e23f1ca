#include "collector/schedule.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

MonotonicTime at(Micros since_boot) { return MonotonicTime{since_boot}; }

}  // namespace

TEST_CASE("agents of one period, and of 60 s with 5 min, share their moments") {
  Schedule schedule;
  schedule.set("active", 60s, at(1007s));
  schedule.set("other", 60s, at(1011s));
  schedule.set("idle", 300s, at(1009s));
  CHECK(schedule.next() == at(1080s));
  CHECK(schedule.take_due(at(1080s)).agents == std::vector<std::string>{"active", "other"});
  CHECK(schedule.take_due(at(1140s)).agents == std::vector<std::string>{"active", "other"});
  CHECK(schedule.take_due(at(1200s)).agents == std::vector<std::string>{"active", "idle", "other"});
}

TEST_CASE("nothing is due before its deadline") {
  Schedule schedule;
  CHECK_FALSE(schedule.next());
  schedule.set("a", 10s, at(0s));
  CHECK(schedule.take_due(at(10s - 1us)).agents.empty());
  CHECK(schedule.take_due(at(10s)).agents.size() == 1);
  CHECK(schedule.take_due(at(10s)).agents.empty());
}

TEST_CASE("a deadline that passed is skipped and counted, never made up for") {
  Schedule schedule;
  schedule.set("a", 10s, at(0s));
  const auto due = schedule.take_due(at(45s));
  CHECK(due.agents.size() == 1);
  CHECK(due.skipped == 3);  // 20, 30 and 40 s: 10 s is answered late
  CHECK(schedule.next() == at(50s));
  CHECK(schedule.take_due(at(50s)).skipped == 0);
}

TEST_CASE("the first interval of an agent is at least half a period") {
  Schedule schedule;
  schedule.set("a", 60s, at(30s));
  CHECK(schedule.next() == at(60s));
  schedule.set("b", 60s, at(31s));
  schedule.remove("a");
  CHECK(schedule.next() == at(120s));
}

TEST_CASE("after a change of period the next deadline lies half a period after the last, the same changes nothing") {
  Schedule schedule;
  schedule.set("a", 300s, at(0s));
  schedule.set("a", 60s, at(100s));
  CHECK(schedule.next() == at(120s));
  schedule.set("a", 60s, at(119s));
  CHECK(schedule.take_due(at(120s)).agents.size() == 1);
  schedule.set("a", 300s, at(130s));
  CHECK(schedule.next() == at(300s));
  schedule.set("a", 400s, at(140s));
  CHECK(schedule.next() == at(400s));  // 300 s is less than half of 400 s after 120 s
}

TEST_CASE("an agent whose sessions came and went each minute was never due") {
  // Each set() put the deadline half a period ahead of itself: 20 s of each minute with a session, and it never came.
  const auto idle = GENERATE(300s, 250s, 120s);  // also one that no multiple of a minute meets
  const auto lives = GENERATE(1s, 20s, 59s);
  Schedule schedule;
  schedule.set("a", idle, at(0s));
  auto last = at(0s);
  int rows = 0;
  const auto look = [&](MonotonicTime now) {
    if (!schedule.take_due(now).agents.empty()) {
      CHECK(now - last <= idle + idle / 2);
      last = now;
      ++rows;
    }
  };
  for (auto second = 0s; second < 3600s; ++second) {
    look(at(second));
    schedule.set("a", second % 60s < lives ? Micros(60s) : Micros(idle), at(second));
  }
  CHECK(rows >= 3600s / (idle + idle / 2));
  CHECK(rows <= 3600s / 30s);
}

TEST_CASE("an origin shifts all deadlines") {
  Schedule schedule(at(3s));
  schedule.set("a", 2s, at(3s));
  CHECK(schedule.next() == at(5s));
}
