#include "bench/harness/markdown.h"

#include <catch2/catch.hpp>

using namespace fleetledger::bench;

TEST_CASE("the README's tables name who looks, what it costs and what it sees") {
  const auto markdown = performance_markdown(
      {.machine = R"({"time":"now","cpu":"x","cores":2,"kernel":"Linux","loadAverage":0.1})",
       .peers = R"({"processes":1003,"agents":50,"sessions":500,"costs":[{"name":"pidstat","residentMiB":10.7,)"
                R"("cpuMs":{"least":1,"median":26.04,"greatest":30}},{"name":"a sampler in each agent",)"
                R"("residentMiB":0,"cpuMs":{"least":1,"median":2,"greatest":3}}]})",
       .sight = R"({"seers":[{"name":"pidstat","truthSeconds":8,"seenSeconds":0.2},)"
                R"({"name":"panes' pids alone","truthSeconds":8,"seenSeconds":0.04}]})",
       .growth = R"({"points":[{"agents":10,"procfs":{"togetherMs":{"median":3.9},"residentMiB":12}}]})"});
  CHECK_THAT(markdown, Catch::Contains("1003 processes, 50 agents and 500 sessions"));
  CHECK_THAT(markdown, Catch::Contains("| pidstat | 26.0 | 1.0 | 30.0 | 11 | 2.5 % |"));
  CHECK_THAT(markdown, Catch::Contains("| a sampler in each agent | 2.0 | 1.0 | 3.0 |  | 0.5 % |"));
  CHECK_THAT(markdown, Catch::Contains("| 10 | 3.9 |"));
}

TEST_CASE("parts that were not measured are left out of the README's tables") {
  CHECK(performance_markdown({}).empty());
  CHECK(performance_markdown({.machine = "{", .peers = "[]", .sight = "{}", .growth = R"({"points":1})"}).empty());
}
