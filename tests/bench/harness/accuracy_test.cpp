#include "bench/harness/accuracy.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::bench;
using namespace std::chrono_literals;

namespace {

constexpr WallTime kStart{1'700'000'000'000ms};

/// A load that uses 20 % of a core from a second before the start on, for so long.
LoadTruth even_load(std::string name, std::chrono::seconds length) {
  LoadTruth load{"a", "session:" + name, name, {}};
  for (auto time = -1s; time <= length; time += 1s) {
    load.rows.push_back(
        {MonotonicTime{100s + time}, kStart + time, CpuTotal{std::chrono::milliseconds{200} * (time / 1s + 1)}, {}});
  }
  return load;
}

/// One tick of one session, which used so much in the `period` that ends `time` after the start.
Tick tick_at(std::chrono::seconds time, std::chrono::seconds period, const std::string& source, Micros used) {
  const double percent = 100.0 * std::chrono::duration<double>(used).count() / static_cast<double>(period.count());
  Tick tick;
  tick.ts = kStart + time;
  tick.rows = {{"a", source, used, percent}, {"a", "aggregate", used, percent}};
  return tick;
}

std::vector<Tick> ticks_of(std::chrono::seconds length, std::chrono::seconds period, const std::string& source,
                           Micros used) {
  std::vector<Tick> ticks;
  for (auto time = period; time <= length; time += period) ticks.push_back(tick_at(time, period, source, used));
  return ticks;
}

bool mentions(const Accuracy& accuracy, const std::string& text) {
  return std::any_of(accuracy.missed.begin(), accuracy.missed.end(),
                     [&](const std::string& bar) { return bar.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("a load measured as it was meets every bar") {
  const auto found = compare(ticks_of(120s, 5s, "session:flat", 1s), {even_load("flat", 120s)}, 2);
  REQUIRE(found);
  CHECK(found->missed.empty());
  CHECK(found->seconds == Approx(120));
  CHECK(found->period == Approx(5));
  REQUIRE(found->loads.size() == 1);
  CHECK(found->loads[0].whole.truth == Approx(24));
  CHECK(found->loads[0].whole.measured == Approx(24));
  REQUIRE(found->loads[0].worst_window);
  CHECK(found->loads[0].worst_window->truth == Approx(12));
  CHECK(found->loads[0].tick_error.greatest == Approx(0).margin(1e-9));
}

TEST_CASE("the baseline is found from the first tick although it is no tick itself") {
  auto ticks = ticks_of(20s, 5s, "session:flat", 1s);
  ticks.erase(ticks.begin());  // now the first one is about the time from 5 to 10 s
  const auto found = compare(ticks, {even_load("flat", 20s)}, 2);
  REQUIRE(found);
  CHECK(found->seconds == Approx(15));
  CHECK(found->loads[0].whole.truth == Approx(3));
}

TEST_CASE("ticks in the first of which nothing was used could not be compared") {
  auto ticks = ticks_of(20s, 5s, "session:flat", 1s);
  ticks[0] = tick_at(5s, 5s, "session:flat", 0s);
  ticks[1] = tick_at(10s, 5s, "session:flat", 2s);
  const auto found = compare(ticks, {even_load("flat", 20s)}, 2);
  REQUIRE(found);
  CHECK(found->seconds == Approx(20));
  CHECK(found->loads[0].whole.truth == Approx(4));
  CHECK(found->loads[0].whole.measured == Approx(4));
  CHECK_FALSE(compare({ticks[0]}, {even_load("flat", 20s)}, 2));
}

TEST_CASE("what is off by more than 2 % and 0.3 s misses the bar, and one that is off by less does not") {
  const std::vector<LoadTruth> truth{even_load("flat", 60s)};
  CHECK(compare(ticks_of(60s, 5s, "session:flat", 956ms), truth, 2)->missed.empty());  // 0.54 s of 12 s is the bar
  CHECK(mentions(*compare(ticks_of(60s, 5s, "session:flat", 954ms), truth, 2), "flat (the whole run)"));
  CHECK(mentions(*compare(ticks_of(60s, 5s, "session:flat", 1046ms), truth, 2), "flat (the whole run)"));
}

TEST_CASE("one bad minute misses the bar even if a later one makes good for it") {
  auto ticks = ticks_of(120s, 5s, "session:flat", 1s);
  ticks[3].rows[0].cpu -= 600ms;
  ticks[3].rows[1].cpu -= 600ms;
  ticks[20].rows[0].cpu += 600ms;
  ticks[20].rows[1].cpu += 600ms;
  const auto found = compare(ticks, {even_load("flat", 120s)}, 2);
  REQUIRE(found);
  CHECK(found->loads[0].whole.error() == Approx(0).margin(1e-9));
  CHECK(mentions(*found, "flat (one minute)"));
}

TEST_CASE("loads without a bar are compared and not judged") {
  const auto found =
      compare(ticks_of(60s, 5s, "session:unwaited", 100ms), {even_load("unwaited", 60s), even_load("flat", 60s)}, 2);
  REQUIRE(found);
  CHECK(found->loads[0].whole.measured == Approx(1.2));
  CHECK_FALSE(found->loads[0].judged);
  CHECK_FALSE(mentions(*found, "unwaited"));
}

TEST_CASE("a source without a single row has been measured as nothing") {
  const auto found = compare(ticks_of(60s, 5s, "session:deep", 1s), {even_load("flat", 60s)}, 2);
  REQUIRE(found);
  CHECK(found->loads[0].whole.truth == Approx(12));
  CHECK(mentions(*found, "flat"));
}

TEST_CASE("a run without any load that the bars are for proves nothing") {
  CHECK_FALSE(compare(ticks_of(60s, 5s, "session:idle", 1s), {even_load("idle", 60s)}, 2)->missed.empty());
}

TEST_CASE("the error of single ticks has its bar at ticks of two seconds") {
  std::vector<Tick> ticks = ticks_of(20s, 2s, "session:flat", 400ms);
  for (std::size_t i = 0; i < ticks.size(); ++i) {  // right in the sum, wrong in each
    for (auto& row : ticks[i].rows) row.cpu += i % 2 == 0 ? 40ms : -40ms;
  }
  const auto found = compare(ticks, {even_load("flat", 20s)}, 2);
  REQUIRE(found);
  CHECK(found->loads[0].tick_error.median == Approx(0.04));
  CHECK(mentions(*found, "one tick"));
}

TEST_CASE("sources that do not sum up to the aggregate are noticed to the microsecond") {
  auto ticks = ticks_of(60s, 5s, "session:flat", 1s);
  ticks[4].rows[1].cpu += 1us;
  const auto found = compare(ticks, {even_load("flat", 60s)}, 2);
  REQUIRE(found);
  CHECK(found->uneven == 1);
  CHECK(mentions(*found, "sum up"));
}

TEST_CASE("a row above what all cores can do is noticed") {
  auto ticks = ticks_of(60s, 5s, "session:flat", 1s);
  ticks[4].rows[0].percent = 201;
  ticks[4].rows[0].cpu = 10'050ms;
  const auto found = compare(ticks, {even_load("flat", 60s)}, 2);
  REQUIRE(found);
  CHECK(found->highest_excess == Approx(0.05));
  CHECK(mentions(*found, "all cores"));
}

TEST_CASE("by /proc, loads are judged against their share of the truth and a clock tick") {
  const auto judge = [](Micros a_tick, const char* kind) {
    const auto source = std::string("session:") + kind;
    const auto found = compare(ticks_of(60s, 5s, source, a_tick), {even_load(kind, 60s)}, 2, Bars::procfs);
    REQUIRE(found);
    return found->missed;
  };
  const auto found = compare(ticks_of(60s, 5s, "session:flat", 1s), {even_load("flat", 60s)}, 2, Bars::procfs);
  REQUIRE(found);
  const auto truth = Micros{static_cast<Micros::rep>(found->loads.front().whole.truth * 1e6 / 12)};
  CHECK(judge(truth, "flat").empty());
  CHECK(judge(truth * 992 / 1000, "deep").empty());
  CHECK_FALSE(judge(truth * 985 / 1000, "flat").empty());
  CHECK(judge(truth * 96 / 100, "long").empty());
  CHECK_FALSE(judge(truth * 94 / 100, "long").empty());
  CHECK_FALSE(judge(truth * 1002 / 1000, "long").empty());  // more than a tick of the clock above it
}

TEST_CASE("by /proc no load at all may be above the truth, in the first minute or in the whole run") {
  const auto judge = [](const std::vector<Tick>& ticks) {
    const auto found = compare(ticks, {even_load("steady", 120s), even_load("flat", 120s)}, 2, Bars::procfs);
    REQUIRE(found);
    return *found;
  };
  const auto right = ticks_of(120s, 5s, "session:steady", 1s);
  CHECK_FALSE(mentions(judge(right), "steady"));
  auto late = right;  // less at first, and made good for in the second minute
  late[2].rows[0].cpu -= 100ms;
  late[20].rows[0].cpu += 100ms;
  CHECK_FALSE(mentions(judge(late), "steady"));
  auto early = right;
  early[2].rows[0].cpu += 20ms;
  early[20].rows[0].cpu -= 20ms;
  const auto found = judge(early);
  REQUIRE(found.loads[0].first_window);
  CHECK(found.loads[0].first_window->error() == Approx(0.02));
  CHECK(mentions(found, "steady (the first minute)"));
  CHECK_FALSE(mentions(found, "steady (the whole run)"));
  early[20].rows[0].cpu += 20ms;
  CHECK(mentions(judge(early), "steady (the whole run)"));
}

TEST_CASE("a truth that does not cover the ticks is no truth") {
  CHECK_FALSE(compare(ticks_of(60s, 5s, "session:flat", 1s), {even_load("flat", 50s)}, 2));
}

TEST_CASE("a fleet's truth is found by its description") {
  const test::TempDir folder;
  std::ofstream(folder / "fleet.json") << R"({"agents":[{"name":"a","serverTruth":")" << folder / "server"
                                       << R"(","sessions":[{"id":"s1","load":"flat","truth":")" << folder / "s1"
                                       << R"("}]}]})";
  std::ofstream(folder / "server.jsonl") << "";
  std::ofstream(folder / "s1.jsonl") << "{\"t_mono_us\":5,\"t_wall_ms\":6,\"cpu_us\":7,\"rss_bytes\":8}\n";
  const auto truths = read_fleet_truth(folder.path());
  REQUIRE(truths);
  REQUIRE(truths->size() == 2);
  CHECK((*truths)[0].source == "agent-server");
  CHECK((*truths)[1].source == "session:s1");
  CHECK((*truths)[1].load == "flat");
  CHECK((*truths)[1].rows.size() == 1);
  CHECK_FALSE(read_fleet_truth(folder / "absent"));
}
