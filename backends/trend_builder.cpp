#include "backends/trend_builder.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace fleetledger {
namespace {

constexpr WallTime kEndOfTime{std::chrono::sys_days{std::chrono::year{10000} / 1 / 1}};

/// Rows that make no sense one by one still have a sum.
Micros add_up(Micros sum, Micros more) { return std::min(sum, Micros::max() - more) + more; }

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

void TrendBuilder::add(const Sample& row) {
  const std::int64_t offset = (row.ts - since_).count();
  if (buckets_.empty() || offset >= end_) {
    const std::int64_t index = ((offset + 1) * count_ - 1) / span_;  // the last one with start(index) <= offset
    end_ = start(index + 1);
    TrendBucket& fresh = buckets_.emplace_back();
    fresh.start = since_ + std::chrono::milliseconds{start(index)};
    fresh.min_cpu_percent = row.cpu_percent;
    fresh.min_resident = row.resident;
  }
  TrendBucket& bucket = buckets_.back();
  ++bucket.rows;
  bucket.min_cpu_percent = std::min(bucket.min_cpu_percent, row.cpu_percent);
  bucket.avg_cpu_percent += row.cpu_percent;
  bucket.peak_cpu_percent = std::max(bucket.peak_cpu_percent, row.cpu_percent);
  bucket.min_resident = std::min(bucket.min_resident, row.resident);
  bucket.avg_resident += static_cast<double>(row.resident.value);
  bucket.peak_resident = std::max(bucket.peak_resident, row.resident);
  if (row.usage) {
    bucket.usage = Usage{add_up(bucket.usage.value_or(Usage{}).micros(), row.usage->micros())};
  }
  if (row.interval) {
    bucket.interval = add_up(bucket.interval.value_or(Micros{0}), *row.interval);
  }
}

std::vector<TrendBucket> TrendBuilder::buckets() && {
  for (TrendBucket& bucket : buckets_) {
    bucket.avg_cpu_percent /= static_cast<double>(bucket.rows);
    bucket.avg_resident /= static_cast<double>(bucket.rows);
  }
  return std::move(buckets_);
}

}  // namespace fleetledger
