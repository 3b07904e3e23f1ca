#include "bench/harness/process_clock.h"

#include <ctime>
#include <fstream>
#include <string>
#include <unistd.h>

namespace fleetledger::bench {
namespace {

double milliseconds(const timespec& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

}  // namespace

std::optional<double> cpu_ms_of(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return std::nullopt;
  return milliseconds(time);
}

std::optional<Bytes> resident_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0;
  std::int64_t resident = 0;
  if (!(in >> size >> resident)) return std::nullopt;
  return Bytes{resident * sysconf(_SC_PAGESIZE)};
}

double own_thread_cpu_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return milliseconds(time);
}

}  // namespace fleetledger::bench
