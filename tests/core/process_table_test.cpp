#include "core/process_table.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

ProcessReading reading(Pid pid, Micros start, Pid parent) {
  ProcessReading made;
  made.key = {pid, BootTime{start}};
  made.parent = parent;
  return made;
}

}  // namespace

TEST_CASE("a table finds processes by pid and by key") {
  const ProcessTable table({}, {reading(30, 3s, 1), reading(1, 0s, 0), reading(20, 2s, 1)});
  REQUIRE(table.size() == 3);
  CHECK(table.readings()[0].key.pid == 1);
  CHECK(table.find(20)->key.start == BootTime{2s});
  CHECK(table.find(21) == nullptr);
  CHECK(table.find(ProcessKey{20, BootTime{2s}}) != nullptr);
  CHECK(table.find(ProcessKey{20, BootTime{7s}}) == nullptr);
  CHECK_FALSE(table.index_of(99));
}

TEST_CASE("of two readings with one pid the later stays") {
  const ProcessTable table({}, {reading(5, 1s, 1), reading(4, 1s, 1), reading(5, 2s, 1)});
  REQUIRE(table.size() == 2);
  CHECK(table.find(5)->key.start == BootTime{2s});
}
