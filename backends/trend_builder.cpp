#include "backends/trend_builder.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace fleetledger {
namespace {

constexpr WallTime kEndOfTime{std::chrono::sys_days{std::chrono::year{10000} / 1 / 1}};

}  // namespace

Result<void> check(const TrendQuery& query) {
  if (query.buckets < 1 || query.buckets > kMostBuckets) {
    return fail(
        "read a trend in " + std::to_string(query.buckets) + " buckets: it takes 1 to " + std::to_string(kMostBuckets),
        Error::Kind::invalid);
  }
  if (std::min(query.since, query.until) < WallTime{} || std::max(query.since, query.until) > kEndOfTime) {
    return fail("read a trend: its window is not between 1970 and 9999", Error::Kind::invalid);
  }
  return {};
}

TrendBuilder::TrendBuilder(const TrendQuery& query)
    : since_(query.since), span_((query.until - query.since).count()), count_(query.buckets) {}

Tally& TrendBuilder::bucket_of(WallTime ts) {
  const std::int64_t offset = (ts - since_).count();
  if (last_ == nullptr || offset < last_start_ || offset >= last_end_) {
    const std::int64_t index = ((offset + 1) * count_ - 1) / span_;  // the last one with start(index) <= offset
    last_start_ = start(index);
    last_end_ = start(index + 1);
    last_ = &tallies_[index];
  }
  return *last_;
}

std::vector<TrendBucket> TrendBuilder::buckets() && {
  std::vector<TrendBucket> result;
  result.reserve(tallies_.size());
  for (const auto& [index, tally] : tallies_) {
    const auto rows = static_cast<double>(tally.rows);
    result.push_back({.start = since_ + std::chrono::milliseconds{start(index)},
                      .rows = tally.rows,
                      .min_cpu_percent = tally.cpu_min,
                      .avg_cpu_percent = tally.cpu_sum / rows,
                      .peak_cpu_percent = tally.cpu_max,
                      .min_resident = tally.resident_min,
                      .avg_resident = tally.resident_sum / rows,
                      .peak_resident = tally.resident_max,
                      .usage = tally.usage,
                      .interval = tally.interval,
                      .estimated = tally.estimated,
                      .time_weighted_cpu_percent = tally.time_weighted()});
  }
  return result;
}

std::vector<WallTime> edges_of(const TrendQuery& query) {
  const std::int64_t span = (query.until - query.since).count();
  std::vector<WallTime> edges;
  edges.reserve(static_cast<std::size_t>(query.buckets) + 1);
  for (std::int64_t index = 0; index <= query.buckets; ++index) {
    edges.push_back(query.since + std::chrono::milliseconds{index * span / query.buckets});
  }
  return edges;
}

}  // namespace fleetledger
