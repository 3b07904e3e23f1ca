#include "collector/api/ledger_json.h"

#include <algorithm>
#include <cmath>

#include "collector/api/json_writer.h"

namespace fleetledger {
namespace {

std::optional<double> seconds(const std::optional<Usage>& usage) {
  return usage ? std::optional{usage->seconds()} : std::nullopt;
}

std::optional<std::int64_t> milliseconds(const std::optional<Micros>& interval) {
  return interval ? std::optional{std::chrono::round<std::chrono::milliseconds>(*interval).count()} : std::nullopt;
}

void write_window(JsonWriter& json, const Window& window) {
  json.field("windowHours", window.hours).field("sinceMs", window.since);
}

}  // namespace

Window window_before(WallTime now, double hours) {
  constexpr double kMillisecondsAnHour = 3'600'000;
  const double reach = std::min(hours * kMillisecondsAnHour, static_cast<double>(now.time_since_epoch().count()));
  return {hours, now - std::chrono::milliseconds{static_cast<std::int64_t>(std::llround(reach))}};
}

std::string summary_json(const LedgerSummary& summary, const Window& window) {
  JsonWriter json;
  json.object();
  write_window(json, window);
  json.field("sampleCount", summary.sample_count).key("sources").array();
  for (const auto& source : summary.sources) {
    json.object()
        .field("source", source.source)
        .field("currentCpuPercent", source.newest.cpu_percent)
        .field("currentRssBytes", source.newest.resident)
        .field("currentHeapUsedBytes", source.newest.heap)
        .field("avgCpuPercent", round_to_hundredths(source.avg_cpu_percent))
        .field("peakCpuPercent", round_to_hundredths(source.peak_cpu_percent))
        .field("avgRssBytes", std::floor(source.avg_resident + 0.5))
        .field("peakRssBytes", source.peak_resident)
        .field("sampleCount", source.sample_count)
        .field("newestTs", source.newest.ts)
        .field("cpuSeconds", source.usage.seconds())
        .field("currentProcesses", source.newest.processes)
        .end();
  }
  json.end().end();
  return json.take();
}

std::string samples_json(const std::vector<Sample>& samples, const Window& window, std::int64_t limit) {
  JsonWriter json;
  json.object();
  write_window(json, window);
  json.field("limit", limit).key("samples").array();
  for (const auto& sample : samples) {
    json.object()
        .field("ts", sample.ts)
        .field("source", sample.source)
        .field("pid", sample.pid)
        .field("cpuPercent", sample.cpu_percent)
        .field("rssBytes", sample.resident)
        .field("heapUsedBytes", sample.heap)
        .field("cpuSeconds", seconds(sample.usage))
        .field("intervalMs", milliseconds(sample.interval))
        .field("processes", sample.processes)
        .end();
  }
  json.end().end();
  return json.take();
}

}  // namespace fleetledger
