#include "bench/harness/ticks.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace fleetledger::bench;
using namespace std::chrono_literals;

TEST_CASE("a line of sample --json is read to the microsecond") {
  const auto tick = parse_tick(R"({"tick":3,"ts":1700000005123,"processes":81,"agents":[
      {"id":"a-00000001","name":"a","state":"sampling","sources":[
        {"source":"session:s1","pid":7,"cpuPercent":40.0,"cpuSeconds":0.800003,"rssBytes":4096,"processes":2}]}],
      "self":{"cpuSeconds":0.004,"childCpuSeconds":0.0125,"rssBytes":8192}})");
  REQUIRE(tick);
  CHECK(tick->ts == WallTime{1'700'000'005'123ms});
  REQUIRE(tick->rows.size() == 1);
  CHECK(tick->rows[0].agent == "a");
  CHECK(tick->rows[0].source == "session:s1");
  CHECK(tick->rows[0].cpu == 800'003us);
  CHECK(tick->own == 4ms);
  CHECK(tick->children == 12'500us);
}

TEST_CASE("usage and percent of a row say how long its interval was") {
  CHECK(TickRow{"a", "aggregate", 800ms, 40.0}.interval() == 2s);
  CHECK(TickRow{"a", "aggregate", 0ms, 0.0}.interval() == 0s);
}

TEST_CASE("a tick whose look failed has no rows") {
  const auto tick = parse_tick(R"({"tick":3,"ts":5,"processes":0,"failure":"no ps","agents":[],
      "self":{"cpuSeconds":0.004,"childCpuSeconds":0,"rssBytes":8192}})");
  REQUIRE(tick);
  CHECK(tick->rows.empty());
}

TEST_CASE("a line that is no tick is refused") {
  CHECK_FALSE(parse_tick(""));
  CHECK_FALSE(parse_tick("[]"));
  CHECK_FALSE(parse_tick(R"({"tick":3,"ts":5,"processes":0,"agents":[]})"));
  CHECK_FALSE(parse_tick(R"({"tick":3,"ts":5,"processes":0,"agents":[{"name":"a","sources":[{"source":1}]}],
      "self":{"cpuSeconds":0,"childCpuSeconds":0,"rssBytes":0}})"));
}
