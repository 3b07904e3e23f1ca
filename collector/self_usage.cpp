#include "collector/self_usage.h"

#include <fstream>
#include <sys/resource.h>
#include <unistd.h>

namespace fleetledger {
namespace {

CpuTotal cpu_of(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto micros = [](const timeval& value) { return std::chrono::seconds{value.tv_sec} + Micros{value.tv_usec}; };
  return CpuTotal{micros(usage.ru_utime) + micros(usage.ru_stime)};
}

Bytes resident_memory() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  return statm >> size >> resident ? Bytes{resident * sysconf(_SC_PAGESIZE)} : Bytes{};
}

}  // namespace

SelfUsage read_self_usage() { return {cpu_of(RUSAGE_SELF), cpu_of(RUSAGE_CHILDREN), resident_memory()}; }

}  // namespace fleetledger
