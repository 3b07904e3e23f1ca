#include "collector/sources/ps_history.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

constexpr Micros kTick = 10ms;
constexpr Pid kSelf = 1000;

/// A host whose kernel counts in ticks of 10 ms, and the ps on it: prints what procps-ng 4.0.2 prints.
class Host {
 public:
  struct Process {
    Pid parent = 1;
    std::int64_t start = 0;   // ticks since boot
    std::int64_t own = 0;     // ticks
    std::int64_t reaped = 0;  // ticks
    std::string state = "S";
    std::string name = "work";
  };

  std::map<Pid, Process> processes;
  Micros now = 100'000s;  // since boot

  Host() { processes[kSelf] = {.start = 100'000'00 - 12'345}; }

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
      std::snprintf(line, sizeof(line), "%7d %7d %5d %7lld %8lld %3lld:%02lld %6.3f %6.3f %4s %5d %-4s %s\n", pid,
                    process.parent, 0, static_cast<long long>(age / 100), static_cast<long long>(process.own / 100),
                    static_cast<long long>(total / 6000), static_cast<long long>(total / 100 % 60),
                    capped(share(process.own)), capped(share(total)), cpu, 1024, process.state.c_str(),
                    process.name.c_str());
      output += line;
    }
    return output;
  }

  /// ps took `before` to get ready and `after` to go through the processes.
  [[nodiscard]] PsLook look(Micros before = 3ms, Micros after = 9ms) const {
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

Micros error_of(CpuTotal read, std::int64_t ticks) { return std::chrono::abs(read.since_start() - ticks * kTick); }

Micros percentile(std::vector<Micros>& values, double share) {
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

}  // namespace

TEST_CASE("a young process's times are exact where only one age fits what ps printed") {
  Host host;
  PsHistory history(host.self());
  REQUIRE(history.take(host.look()));
  host.now += 500ms;
  host.processes[2000] = {.start = host.ticks() - 41, .own = 23, .reaped = 17};
  const auto table = history.take(host.look());
  REQUIRE(table);
  CHECK(table->find(2000)->own.since_start() == 230ms);
  CHECK(table->find(2000)->with_reaped.since_start() == 400ms);
}

TEST_CASE("measure", "[.]") {
  std::mt19937 random(1);
  for (const std::int64_t age : {200, 60'00, 600'00, 3600'00, 6 * 3600'00, 86400'00, 864000'00}) {
    std::vector<Micros> totals, differences;
    for (int run = 0; run < 60; ++run) {
      Host host;
      host.now += Micros(random() % 10'000'000);
      PsHistory history(host.self());
      const double lifelong = std::uniform_real_distribution<>(0, 0.9)(random);
      host.processes[2000] = {.start = host.ticks() - age,
                              .own = static_cast<std::int64_t>(static_cast<double>(age) * lifelong * 0.6),
                              .reaped = static_cast<std::int64_t>(static_cast<double>(age) * lifelong * 0.4)};
      auto& work = host.processes[2000];
      std::optional<ProcessTable> last;
      std::int64_t last_total = 0;
      for (int tick = 0; tick < 30; ++tick) {
        const auto interval = 200 + static_cast<std::int64_t>(random() % 3);
        host.now += interval * kTick + Micros(random() % 10000);
        const double busy = std::uniform_real_distribution<>(0, 1)(random);
        work.own += static_cast<std::int64_t>(static_cast<double>(interval) * busy * 0.7);
        work.reaped += static_cast<std::int64_t>(static_cast<double>(interval) * busy * 0.3);
        auto table = history.take(host.look(Micros(2000 + random() % 4000), Micros(6000 + random() % 10000))).value();
        const auto* now = table.find(2000);
        const auto total = work.own + work.reaped;
        if (tick > 0) {
          totals.push_back(error_of(now->with_reaped, total));
          const auto usage = now->with_reaped - last->find(2000)->with_reaped;
          differences.push_back(std::chrono::abs(usage.micros() - (total - last_total) * kTick));
        }
        last_total = total;
        last = std::move(table);
      }
    }
    std::printf("age %8.0f s: total median %4ld p90 %4ld max %4ld ms, tick median %4ld p90 %4ld max %4ld ms\n",
                static_cast<double>(age) / 100, percentile(totals, .5) / 1ms, percentile(totals, .9) / 1ms,
                percentile(totals, 1) / 1ms, percentile(differences, .5) / 1ms, percentile(differences, .9) / 1ms,
                percentile(differences, 1) / 1ms);
  }
}
