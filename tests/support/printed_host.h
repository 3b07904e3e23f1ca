#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "collector/sources/ps_history.h"

namespace fleetledger::test {

/// A host whose kernel counts in ticks of 10 ms, and the ps on it: prints what procps-ng 4.0.2 prints.
class PrintedHost {
 public:
  static constexpr Micros kTick = std::chrono::milliseconds(10);
  static constexpr Pid kSelf = 1000;

  struct Process {
    Pid parent = 1;
    std::int64_t start = 0;   // ticks since boot
    std::int64_t own = 0;     // ticks
    std::int64_t reaped = 0;  // ticks
    std::string state = "S";
    std::string name = "work";
  };

  std::map<Pid, Process> processes;
  Micros now = std::chrono::seconds(100'000);  // since boot

  PrintedHost() { processes[kSelf] = {.start = 100'000'00 - 12'345}; }

  [[nodiscard]] std::int64_t ticks() const { return now / kTick; }

  [[nodiscard]] std::string print() const {
    std::string output;
    for (const auto& [pid, process] : processes) {
      const auto age = ticks() - process.start;
      const auto share = [&](std::int64_t used) {
        return age > 0 ? static_cast<double>(static_cast<float>(used) * 100.0F) / static_cast<double>(age) : 0.0;
      };
      const auto capped = [](double percent) { return percent > 99.0 ? 99.999 : percent; };
      const auto total = process.own + process.reaped;
      const auto permille = static_cast<unsigned>(share(total) * 10);
      char cpu[32];
      std::snprintf(cpu, sizeof(cpu), permille > 999 ? "%u" : "%u.%u", permille / 10, permille % 10);
      char line[256];
      // Of what started since ps read its clock it prints what is left of a negative number in 32 bits.
      const auto wrapped = static_cast<double>(static_cast<std::uint64_t>(age)) / 100;
      const auto seconds = age < 0 ? static_cast<std::uint32_t>(static_cast<std::uint64_t>(wrapped)) : age / 100;
      std::snprintf(line, sizeof(line), "%7d %7d %5d %7lld %8lld %3lld:%02lld %6.3f %6.3f %4s %5d %-4s %s\n", pid,
                    process.parent, 0, static_cast<long long>(seconds), static_cast<long long>(process.own / 100),
                    static_cast<long long>(total / 6000), static_cast<long long>(total / 100 % 60),
                    capped(share(process.own)), capped(share(total)), cpu, 1024, process.state.c_str(),
                    process.name.c_str());
      output += line;
    }
    return output;
  }

  /// ps took `before` to get ready and `after` to go through the processes.
  [[nodiscard]] PsLook look(Micros before = std::chrono::milliseconds(3),
                            Micros after = std::chrono::milliseconds(9)) const {
    PsLook look;
    look.rows = parse_linux_ps(print()).value();
    look.boot_started = BootTime{now - before};
    look.boot_ended = BootTime{now + after};
    look.started = MonotonicTime{now - before};
    look.ended = MonotonicTime{now + after};
    return look;
  }
  [[nodiscard]] OwnProcess self() const {
    return {.pid = kSelf, .start = BootTime{processes.at(kSelf).start * kTick}, .tick = kTick};
  }
};

}  // namespace fleetledger::test
