#include "bench/fleet/truth.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::fleet;
using namespace std::chrono_literals;

namespace {

TruthPoint row(Micros mono, std::chrono::milliseconds wall, Micros cpu) {
  return {MonotonicTime{mono}, WallTime{wall}, CpuTotal{cpu}, Bytes{0}};
}

}  // namespace

TEST_CASE("the truth at an instant lies between the rows around it") {
  const std::vector rows{row(1s, 101s, 10ms), row(2s, 102s, 110ms), row(3s, 103s, 110ms)};
  CHECK(cpu_at(rows, MonotonicTime{1s}) == CpuTotal{10ms});
  CHECK(cpu_at(rows, MonotonicTime{1250ms}) == CpuTotal{35ms});
  CHECK(cpu_at(rows, MonotonicTime{3s}) == CpuTotal{110ms});
  CHECK(cpu_at(rows, WallTime{101'500ms}) == CpuTotal{60ms});
}

TEST_CASE("before the first row and after the last one the truth is unknown") {
  const std::vector rows{row(1s, 101s, 10ms), row(2s, 102s, 110ms)};
  CHECK_FALSE(cpu_at(rows, MonotonicTime{999ms}));
  CHECK_FALSE(cpu_at(rows, MonotonicTime{2001ms}));
  CHECK_FALSE(cpu_at({}, MonotonicTime{1s}));
}

TEST_CASE("a truth file is read up to its last whole line") {
  const test::TempDir folder;
  std::ofstream(folder / "t.jsonl")
      << "{\"t_mono_us\":5,\"t_wall_ms\":6,\"cpu_us\":7,\"rss_bytes\":8}\n{\"t_mono_us\":9";
  const auto rows = read_truth(folder / "t.jsonl");
  REQUIRE(rows);
  REQUIRE(rows->size() == 1);
  CHECK(rows->front().mono == MonotonicTime{Micros{5}});
  CHECK(rows->front().wall == WallTime{6ms});
  CHECK(rows->front().cpu == CpuTotal{Micros{7}});
  CHECK(rows->front().resident == Bytes{8});
}

TEST_CASE("a truth file with a row that lacks a number is refused") {
  const test::TempDir folder;
  std::ofstream(folder / "t.jsonl") << "{\"t_mono_us\":5,\"t_wall_ms\":6,\"cpu_us\":7}\n";
  CHECK_FALSE(read_truth(folder / "t.jsonl"));
  std::ofstream(folder / "u.jsonl") << "[5]\n";
  CHECK_FALSE(read_truth(folder / "u.jsonl"));
  CHECK_FALSE(read_truth(folder / "absent.jsonl"));
}

TEST_CASE("entries in an account are seen by whoever else has it open") {
  const test::TempDir folder;
  auto account = TruthAccount::create(folder / "a.account");
  const auto other = TruthAccount::open(folder / "a.account");
  REQUIRE(account);
  REQUIRE(other);
  account->add_cpu_nanos(3'000'999);
  account->add_resident(4096);
  CHECK(other->cpu() == CpuTotal{3ms});
  CHECK(other->resident() == Bytes{4096});
}

TEST_CASE("what is not an account cannot be opened as one") {
  const test::TempDir folder;
  std::ofstream(folder / "short") << "x";
  CHECK_FALSE(TruthAccount::open(folder / "short"));
  CHECK_FALSE(TruthAccount::open(folder / "absent"));
  CHECK_FALSE(TruthAccount::open(folder.path()));
}
