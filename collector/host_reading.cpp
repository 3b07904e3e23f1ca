#include "collector/host_reading.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <uv.h>

namespace fleetledger {

namespace {

/// MemAvailable of /proc/meminfo, what programs can still get; elsewhere what is free.
Bytes memory_available() {
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  std::int64_t kibibytes = 0;
  std::string rest;
  while (meminfo >> name >> kibibytes && std::getline(meminfo, rest)) {
    if (name == "MemAvailable:") {
      return {kibibytes * 1024};
    }
  }
  return {static_cast<std::int64_t>(uv_get_free_memory())};
}

}  // namespace

HostReading read_host() {
  HostReading reading;
  uv_cpu_info_t* cpus = nullptr;
  int count = 0;
  if (uv_cpu_info(&cpus, &count) == 0) {
    std::uint64_t busy = 0;
    for (int i = 0; i < count; ++i) {
      const auto& times = cpus[i].cpu_times;
      busy += times.user + times.nice + times.sys + times.irq;
    }
    uv_free_cpu_info(cpus, count);
    reading.busy = CpuTotal{std::chrono::milliseconds{busy}};
    reading.cpus = static_cast<unsigned>(count);
  }
  reading.memory_total = {static_cast<std::int64_t>(uv_get_total_memory())};
  reading.memory_available = memory_available();
  return reading;
}

}  // namespace fleetledger
