#include "collector/api/ledger_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/rate_limits.h"

namespace fleetledger {
namespace {

constexpr double kMillisecondsAnHour = 3'600'000;

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
        .field("estimatedCpuSeconds", source.estimated.usage.seconds())
        .field("timeWeightedCpuPercent", round_to_hundredths(source.time_weighted_cpu_percent))
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
  json.end().key("nextCursor");
  if (limit > 0 && samples.size() >= static_cast<std::size_t>(limit)) {
    json.value(cursor_text({samples.back().ts, samples.back().source}));
  } else {
    json.null();
  }
  json.end();
  return json.take();
}

std::string rate_limits_json(const RateLimitReport& report, const Window& window) {
  std::int64_t opened = 0;
  std::int64_t recovered = 0;
  std::int64_t sentinels = 0;
  std::optional<WallTime> oldest;
  std::optional<WallTime> newest;
  for (const auto& kind : report.by_kind) {
    opened += kind.kind == kCircuitOpen ? kind.count : 0;
    recovered += kind.kind == kCircuitRecover ? kind.count : 0;
    sentinels += kind.source == kSentinelEvents ? kind.count : 0;
    oldest = oldest ? std::min(*oldest, kind.first) : kind.first;
    newest = newest ? std::max(*newest, kind.last) : kind.last;
  }
  JsonWriter json;
  json.object().field("windowHours", window.hours).key("summary").object();
  json.field("circuitOpenCount", opened)
      .field("circuitRecoverCount", recovered)
      .field("sentinelCount", sentinels)
      .field("totalEvents", report.total)
      .field("tripsPerHour", round_to_hundredths(static_cast<double>(opened) / window.hours))
      .field("oldestEventTs", oldest)
      .field("newestEventTs", newest)
      .field("windowMs", window.hours * kMillisecondsAnHour)
      .end();
  json.key("byKind").array();
  for (const auto& kind : report.by_kind) {
    json.object()
        .field("kind", kind.kind)
        .field("source", kind.source)
        .field("count", kind.count)
        .field("firstTs", kind.first)
        .field("lastTs", kind.last)
        .end();
  }
  json.end().key("events").array();
  for (const auto& event : report.events) {
    json.object();
    write_event_fields(json, event);
    json.end();
  }
  json.end().key("recoveries").array();
  for (const auto& recovery : report.recoveries) {
    json.object();
    write_event_fields(json, recovery);
    json.end();
  }
  json.end().end();
  return json.take();
}

void write_event_fields(JsonWriter& json, const RateLimitEvent& event) {
  json.field("id", event.id)
      .field("ts", event.ts)
      .field("kind", event.kind)
      .field("source", event.source)
      .field("accountKey", event.account_key)
      .field("sessionName", event.session_name)
      .field("reason", event.reason)
      .field("detail", event.detail)
      .field("limit", to_string(limit_of(event)));
}

std::string trend_json(const std::vector<SourceTrend>& trend, const TrendQuery& query, double hours) {
  JsonWriter json;
  json.object()
      .field("windowHours", hours)
      .field("sinceMs", query.since)
      .field("untilMs", query.until)
      .field("buckets", query.buckets)
      .key("sources")
      .array();
  for (const auto& source : trend) {
    json.object().field("source", source.source).key("points").array();
    for (const auto& bucket : source.buckets) {
      json.object()
          .field("ts", bucket.start)
          .field("rows", bucket.rows)
          .field("minCpuPercent", round_to_hundredths(bucket.min_cpu_percent))
          .field("avgCpuPercent", round_to_hundredths(bucket.avg_cpu_percent))
          .field("peakCpuPercent", round_to_hundredths(bucket.peak_cpu_percent))
          .field("minRssBytes", bucket.min_resident)
          .field("avgRssBytes", std::floor(bucket.avg_resident + 0.5))
          .field("peakRssBytes", bucket.peak_resident)
          .field("cpuSeconds", seconds(bucket.usage))
          .field("intervalMs", milliseconds(bucket.interval))
          .field("estimatedCpuSeconds", bucket.estimated.usage.seconds())
          .field("estimatedIntervalMs", milliseconds(bucket.estimated.interval))
          .field("timeWeightedCpuPercent", round_to_hundredths(bucket.time_weighted_cpu_percent))
          .end();
    }
    json.end().end();
  }
  json.end().end();
  return json.take();
}

std::string cursor_text(const SampleCursor& cursor) {
  return std::to_string(cursor.ts.time_since_epoch().count()) + ":" + cursor.source;
}

std::optional<SampleCursor> parse_cursor(std::string_view text) {
  const std::size_t colon = text.find(':');
  std::int64_t ts = 0;
  const auto* const stop = text.data() + std::min(colon, text.size());
  const auto [end, error] = std::from_chars(text.data(), stop, ts);
  if (colon == std::string_view::npos || error != std::errc() || end != stop) {
    return std::nullopt;
  }
  return SampleCursor{WallTime{std::chrono::milliseconds{ts}}, std::string(text.substr(colon + 1))};
}

}  // namespace fleetledger
