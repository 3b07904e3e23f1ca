#include "bench/harness/aged_ps.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "collector/clock.h"
#include "collector/sources/procfs_source.h"

namespace fleetledger::bench {
namespace {

std::int64_t seconds(Micros time) { return std::chrono::floor<std::chrono::seconds>(time).count(); }

/// As ps prints %cuu and %cuc: of one core, to 0.001, above 99 always the same.
double fine_percent(Micros cpu, Micros age) {
  const auto percent = 100.0 * static_cast<double>(cpu.count()) / static_cast<double>(age.count());
  return percent >= 99 ? 99.999 : std::round(percent * 1000) / 1000;
}

/// As ps prints %cpu: cut off, to 0.1 below 100 and to 1 from there.
double coarse_percent(Micros cpu, Micros age) {
  const auto whole_tenths = 1000 * cpu.count() / std::max<std::int64_t>(age.count(), 1);
  const auto tenths = static_cast<double>(whole_tenths);
  return tenths >= 1000 ? std::floor(tenths / 10) : tenths / 10;
}

}  // namespace

std::string aged_ps_output(const ProcessTable& table, BootTime old_before, std::int64_t days) {
  std::string text;
  for (const auto& reading : table.readings()) {
    auto age = std::max(table.moment().boot - reading.key.start, Micros{1});
    if (reading.key.start < old_before) age += std::chrono::days{days};
    const auto own = reading.own.since_start();
    const auto all = reading.with_reaped.since_start();
    text += fmt::format("{:>7} {:>7} {:>5} {:>7} {:>8} {:>3}:{:02} {:.3f} {:.3f} {:.1f} {:>5} {} {}\n", reading.key.pid,
                        reading.parent, reading.owner, seconds(age), seconds(own), seconds(all) / 60, seconds(all) % 60,
                        fine_percent(own, age), fine_percent(all, age), coarse_percent(all, age),
                        reading.resident.value / 1024, reading.zombie ? 'Z' : 'S', reading.name.view());
  }
  return text;
}

Result<std::string> aged_ps(BootTime old_before, std::int64_t days) {
  const auto source = make_procfs_source();
  if (!source) return fail(source.error());
  Result<std::string> text = std::string();
  (*source)->look([&](const Result<ProcessTable>& table) {
    if (table) {
      text = aged_ps_output(*table, old_before, days);
    } else {
      text = fail(table.error());
    }
  });
  return text;
}

}  // namespace fleetledger::bench
