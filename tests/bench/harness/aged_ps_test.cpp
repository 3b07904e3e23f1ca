#include "bench/harness/aged_ps.h"

#include <catch2/catch.hpp>

#include "collector/sources/ps_parser.h"

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

ProcessReading process(Pid pid, BootTime start, Micros own, Micros all) {
  ProcessReading reading;
  reading.key = {pid, start};
  reading.parent = 1;
  reading.own = CpuTotal{own};
  reading.with_reaped = CpuTotal{all};
  reading.resident = {2048 * 1024};
  reading.name = ProcessName("a b");
  return reading;
}

}  // namespace

TEST_CASE("the ps of old processes prints what its parser reads, and only what began before seems older") {
  const ProcessTable table({MonotonicTime{100s}, BootTime{100s}, 10ms, Micros{0}},
                           {process(7, BootTime{10s}, 45s, 71'500ms), process(8, BootTime{80s}, 10s, 10s)});
  const auto output = bench::aged_ps_output(table, BootTime{50s}, 3);
  CHECK_THAT(output, Catch::Contains("259290") && Catch::Contains("1:11"));
  CHECK_THAT(output, Catch::Contains("0.017 0.028 0.0"));     // of three days
  CHECK_THAT(output, Catch::Contains("50.000 50.000 50.0"));  // of twenty seconds
  const auto rows = parse_linux_ps(output);
  REQUIRE(rows);
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].pid == 7);
  CHECK((*rows)[0].parent == 1);
  CHECK((*rows)[1].name.view() == "a b");
}

TEST_CASE("the ps of old processes caps shares as ps does") {
  const ProcessTable table({MonotonicTime{100s}, BootTime{100s}, 10ms, Micros{0}},
                           {process(7, BootTime{90s}, 9'950ms, 15s)});
  CHECK_THAT(bench::aged_ps_output(table, BootTime{0s}, 3), Catch::Contains("99.999 99.999 150.0"));
}
