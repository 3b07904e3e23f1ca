#include "bench/harness/markdown.h"

#include <catch2/catch.hpp>

using namespace fleetledger::bench;

TEST_CASE("the tables name who looks, what it costs and what it sees") {
  const auto markdown = performance_markdown(
      {{"peers/peers.json",
        R"({"processes":1003,"agents":50,"sessions":500,"costs":[{"name":"pidstat","residentMiB":10.7,)"
        R"("cpuMs":{"least":1,"median":26.04,"greatest":30}},{"name":"a sampler in each agent",)"
        R"("residentMiB":0,"cpuMs":{"least":1,"median":2,"greatest":3}}]})"},
       {"sight/sight.json", R"({"seers":[{"name":"pidstat","truthSeconds":8,"seenSeconds":0.2},)"
                            R"({"name":"panes' pids alone","truthSeconds":8,"seenSeconds":0.04}]})"}});
  CHECK_THAT(markdown, Catch::Contains("1003 processes, 50 agents and 500 sessions"));
  CHECK_THAT(markdown, Catch::Contains("| pidstat | 26.0 | 1.0 | 30.0 | 11 | 2.5 % |"));
  CHECK_THAT(markdown, Catch::Contains("| a sampler in each agent | 2.0 | 1.0 | 3.0 |  | 0.5 % |"));
  CHECK_THAT(markdown, !Catch::Contains("bench/README.md"));
}

TEST_CASE("each part is told with the machine, time and load that it was measured at") {
  const auto markdown = performance_markdown(
      {{"growth/machine.json",
        R"({"time":"2026-11-25T10:00:00Z","cpu":"x","cores":2,"kernel":"Linux","loadAverage":0.1})"},
       {"growth/growth.json",
        R"({"points":[{"agents":10,"procfs":{"togetherMs":{"median":3.9,"least":3,"greatest":5},"lagHighestMs":null,"lagAbove10Ms":1,"workHighestMs":5,"workAbove10Ms":0,"turns":80}}]})"},
       {"http/machine.json",
        R"({"time":"2026-11-26T10:00:00Z","cpu":"x","cores":2,"kernel":"Linux","loadAverage":1.5})"},
       {"http/http.json", R"({"requestsPerSecond":16115,"p99Ms":7.9,"failed":0})"}});
  CHECK_THAT(markdown, Catch::Contains("x, 2 cores, Linux; parts begun 2026-11-25T10:00:00Z to 2026-11-26T10:00:00Z, "
                                       "load average 0.1 to 1.5"));
  CHECK_THAT(markdown, Catch::Contains("### Growth\n\n2026-11-25T10:00:00Z: x, 2 cores, Linux, load average 0.1"));
  CHECK_THAT(markdown, Catch::Contains("### HTTP\n\n2026-11-26T10:00:00Z: x, 2 cores, Linux, load average 1.5"));
  CHECK_THAT(markdown, Catch::Contains("| 10 | procfs | 3.9 (3.0 to 5.0) |"));
  CHECK_THAT(markdown, Catch::Contains("| above all bounds | 5 | 1 and 0 of 80 |"));
  CHECK_THAT(markdown, Catch::Contains("16,115 requests a second"));
}

TEST_CASE("what an older run did not measure is not told as none") {
  const auto markdown =
      performance_markdown({{"growth/growth.json", R"({"points":[{"agents":10,"procfs":)"
                                                   R"({"lagHighestMs":50,"lagAbove10Ms":6,"turns":80}}]})"}});
  CHECK_THAT(markdown, Catch::Contains("| 50 |  | 6 of 80 |"));
  CHECK_THAT(markdown, !Catch::Contains("above all bounds | 6"));
}

TEST_CASE("all bars are told, and the missed ones stand out") {
  const auto markdown = performance_markdown(
      {{"store/store.json", R"({"bars":[{"what":"a","value":2,"bar":1.5,"unit":"x","kind":"at most","met":false},)"
                            R"({"what":"b","value":1,"bar":1.5,"unit":"","kind":"at most","met":true}]})"},
       {"accuracy/every-5s-procfs.json", R"({"loads":[],"missed":["deep: more than the truth"]})"}});
  CHECK_THAT(markdown, Catch::Contains("| store | a | 2 x | at most 1.5 | **missed** |"));
  CHECK_THAT(markdown, Catch::Contains("| store | b | 1 | at most 1.5 | met |"));
  CHECK_THAT(markdown, Catch::Contains("| accuracy | every-5s, procfs | deep: more than the truth | | **missed** |"));
}

TEST_CASE("parts that were not measured are left out") {
  CHECK(performance_markdown({}).empty());
  CHECK(performance_markdown({{"growth/machine.json", "{"},
                              {"peers/peers.json", "[]"},
                              {"sight/sight.json", "{}"},
                              {"growth/growth.json", R"({"points":1})"}})
            .empty());
}
