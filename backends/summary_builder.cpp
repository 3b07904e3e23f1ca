#include "backends/summary_builder.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace fleetledger {

void SummaryBuilder::add(const Sample& row, Micros guess) {
  by_source_[row.source].add(row, guess);
  leaves(row.ts);
}

void SummaryBuilder::add(const Rollup& rollup) {
  by_source_[rollup.source].add(rollup.tally);
  leaves(rollup.complete ? rollup.tally.first : rollup.tally.newest.ts);
}

std::vector<SourceSummary> SummaryBuilder::sources() const {
  std::vector<SourceSummary> result;
  result.reserve(by_source_.size());
  for (const auto& [source, tally] : by_source_) {
    const auto rows = static_cast<double>(tally.rows);
    result.push_back({.source = source,
                      .newest = tally.newest,
                      .avg_cpu_percent = tally.cpu_sum / rows,
                      .peak_cpu_percent = tally.cpu_max,
                      .avg_resident = tally.resident_sum / rows,
                      .peak_resident = tally.resident_max,
                      .sample_count = tally.rows,
                      .usage = tally.usage.value_or(Usage{}),
                      .estimated = tally.estimated,
                      .time_weighted_cpu_percent = tally.time_weighted()});
  }
  std::sort(result.begin(), result.end(), [](const auto& left, const auto& right) {
    return std::tie(right.newest.ts, left.source) < std::tie(left.newest.ts, right.source);
  });
  return result;
}

}  // namespace fleetledger
