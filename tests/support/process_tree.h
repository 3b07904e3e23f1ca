#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "core/process_table.h"

namespace fleetledger::test {

/// One process of a tree written in a test: `{.pid = 10, .parent = 1, .own = 2s, .reaped = 3s}`.
struct TreeProcess {
  Pid pid = 0;
  Pid parent = 0;
  Micros own{0};
  Micros reaped{0};
  Micros start{0};  ///< after boot; the default is older than every look
  Bytes resident{1000};
  bool zombie = false;
  Uid owner = 0;
  std::string_view name = "process";
};

/// What a look at these processes, taken so long after boot, gives.
inline ProcessTable look(Micros after_boot, const std::vector<TreeProcess>& processes, Micros resolution = Micros{0},
                         Micros slack = Micros{0}) {
  std::vector<ProcessReading> readings;
  for (const auto& process : processes) {
    ProcessReading reading;
    reading.key = {process.pid, BootTime{process.start}};
    reading.parent = process.parent;
    reading.owner = process.owner;
    reading.own = CpuTotal{process.own};
    reading.with_reaped = CpuTotal{process.own + process.reaped};
    reading.resident = process.zombie ? Bytes{0} : process.resident;
    reading.zombie = process.zombie;
    reading.name = ProcessName(process.name);
    readings.push_back(reading);
  }
  return {{MonotonicTime{after_boot}, BootTime{after_boot}, resolution, slack}, std::move(readings)};
}

}  // namespace fleetledger::test
