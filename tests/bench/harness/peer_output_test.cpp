#include "bench/harness/peer_output.h"

#include <catch2/catch.hpp>
#include <string>

using namespace fleetledger::bench;

namespace {

bool is_tool(std::string_view name) { return name == "tool"; }

}  // namespace

TEST_CASE("pidstat's lines are percent of one core over an interval") {
  const auto* output =
      "Linux 6.1.0 (host) \t11/24/26 \t_x86_64_\t(2 CPU)\n\n"
      "# Time        UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command\n"
      "23:25:03        0         1    0.00    0.86    0.00    0.00    0.86     0  init\n"
      "23:25:03     1000      4711   30.00   10.00    0.00    0.00   40.00     1  tool\n\n"
      "# Time        UID       PID    %usr %system  %guest   %wait    %CPU   CPU  Command\n"
      "23:25:08     1000      4712   10.00    0.00    0.00    0.00   10.00     1  tool\n"
      "23:25:08     1000      4713   10.00    0.00    0.00    0.00   10.00     1  toolbox\n";
  CHECK(pidstat_seconds(output, 5, is_tool) == Approx(2.5));
  CHECK(pidstat_seconds("", 5, is_tool) == 0);
  CHECK(pidstat_seconds("# Time UID PID\n1 2 tool\n", 5, is_tool) == 0);
}

TEST_CASE("top's first table is about other times and does not count") {
  const std::string head = "top - 23:25:04 up 10 min,  0 user,  load average: 6.63\nTasks: 107 total\n\n";
  const std::string columns = "  PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n";
  const std::string before = "   42 ada       20   0  138164 111068  19064 R  93.3   0.4   0:00.57 tool\n\n";
  const std::string then =
      "   42 ada       20   0  138164 111068  19064 R  20.0   0.4   0:00.57 tool\n"
      "   43 ada       20   0  138164 111068  19064 R  20.0   0.4   0:00.57 cc1plus\n";
  CHECK(top_seconds(head + columns + before + head + columns + then, 5, is_tool) == Approx(1));
  CHECK(top_seconds(head + columns + before, 5, is_tool) == 0);
}

TEST_CASE("apps.plugin says percent of a core a second in parts of its own") {
  const std::string charts =
      "CHART apps.cpu '' 'Apps CPU Time (100% = 1 core)' 'percentage' cpu apps.cpu stacked 20001 1\n"
      "DIMENSION fleet '' absolute 1 10000 \nDIMENSION other '' absolute 1 10000 \n"
      "CHART apps.mem '' 'Memory' 'MiB' mem apps.mem stacked 20003 1\nDIMENSION fleet '' absolute 1 1024\n"
      "CHART apps.cpu_user '' 'User' 'percentage' cpu apps.cpu_user stacked 20020 1\n"
      "DIMENSION fleet '' absolute 1 10000 \n";
  const auto iteration = [](const std::string& microseconds, const std::string& value) {
    return "BEGIN apps.cpu " + microseconds + "\nSET fleet = " + value + "\nSET other = 990000\nEND\n" +
           "BEGIN apps.mem " + microseconds + "\nSET fleet = 77\nEND\nBEGIN apps.cpu_user " + microseconds +
           "\nSET fleet = " + value + "\nEND\n";
  };
  const auto output = charts + iteration("0", "0") + iteration("1000000", "400000") + iteration("1002119", "100000");
  CHECK(apps_plugin_seconds(output, "fleet") == Approx(0.5));
  CHECK(apps_plugin_iterations(output) == Approx(2.002119));
  CHECK(apps_plugin_seconds(output, "nobody") == 0);
  CHECK(apps_plugin_seconds("SET fleet\nDIMENSION fleet\nBEGIN\n", "fleet") == 0);
}
