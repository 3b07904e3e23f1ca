#include "bench/harness/machine.h"

#include <cstdlib>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <sys/utsname.h>
#include <unistd.h>

#include "collector/api/json_writer.h"

namespace fleetledger::bench {
namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

}  // namespace

Machine this_machine() {
  utsname system{};
  uname(&system);
  double load = 0;
  getloadavg(&load, 1);
  return {.cpu = cpu_model(),
          .cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
          .kernel = std::string(system.sysname) + " " + system.release,
          .load_average = load,
          .time = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))};
}

std::string machine_line(const Machine& machine) {
  return fmt::format("{}: {}, {} cores, {}, load average {:.1f}\n", machine.time, machine.cpu, machine.cores,
                     machine.kernel, machine.load_average);
}

std::string machine_json(const Machine& machine) {
  JsonWriter json;
  json.object()
      .field("time", machine.time)
      .field("cpu", machine.cpu)
      .field("cores", machine.cores)
      .field("kernel", machine.kernel)
      .field("loadAverage", machine.load_average)
      .end();
  return json.take();
}

}  // namespace fleetledger::bench
