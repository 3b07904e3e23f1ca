#include "collector/reading_plan.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

using Folders = std::vector<std::string>;

struct Plan {
  MonotonicTime now{1h};
  ReadingPlan plan{now};
  int asked = 0;

  ReadingPlan::Reading begin(Depth depth) {
    return plan.begin(depth, now, [this] {
      ++asked;
      return Folders{"/unwatched"};
    });
  }
};

}  // namespace

TEST_CASE("what is told to have changed is read once, and is asked for with the first of it") {
  Plan test;
  CHECK(test.plan.changed("/a"));
  CHECK_FALSE(test.plan.changed("/b"));
  CHECK_FALSE(test.plan.changed("/a"));
  CHECK(test.begin(Depth::told).news.changed == Folders{"/a", "/b"});
  CHECK(test.begin(Depth::told).news.changed.empty());
  CHECK(test.plan.changed("/a"));
}

TEST_CASE("folders that are not watched are looked at once a tick, however often others tell of changes") {
  Plan test;
  test.plan.tick_begins();
  const auto first = test.begin(Depth::told);
  CHECK(first.news.unwatched == Folders{"/unwatched"});
  CHECK(first.asks_unwatched);
  for (int i = 0; i < 3; ++i) {
    test.plan.changed("/a");
    const auto told = test.begin(Depth::told);
    CHECK(told.news.unwatched.empty());
    CHECK_FALSE(told.asks_unwatched);
  }
  CHECK(test.asked == 1);
  // Whatever is not watched is looked at by a thorough reading anyway.
  test.plan.tick_begins();
  const auto thorough = test.begin(Depth::folders);
  CHECK(thorough.asks_unwatched);
  CHECK(test.asked == 1);
  CHECK_FALSE(test.begin(Depth::told).asks_unwatched);
}

TEST_CASE("all files were never stat'ed while ticks that took longer than their period left no time for it") {
  Plan test;
  CHECK(test.plan.check_due() == test.now + 60s);
  test.now += 59s;
  CHECK(test.begin(Depth::told).depth == Depth::told);
  test.now += 1s;
  CHECK(test.begin(Depth::told).depth == Depth::changed);
  CHECK(test.plan.check_due() == test.now + 60s);
  test.now += 60s;
  CHECK(test.begin(Depth::folders).depth == Depth::folders);
  CHECK(test.begin(Depth::told).depth == Depth::told);
  // Asked for while another reading is under way: not again before it comes.
  test.now += 60s;
  test.plan.check_asked_for(test.now);
  CHECK(test.plan.check_due() == test.now + 60s);
}
