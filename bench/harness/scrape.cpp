#include "bench/harness/scrape.h"

#include <cstdlib>
#include <fmt/format.h>
#include <limits>

#include "collector/http/client.h"

namespace fleetledger::bench {

Series parse_series(std::string_view text) {
  Series series;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto space = line.rfind(' ');
    if (line.empty() || line.front() == '#' || space == std::string_view::npos) continue;
    series[std::string(line.substr(0, space))] = std::strtod(std::string(line.substr(space + 1)).c_str(), nullptr);
  }
  return series;
}

double value_of(const Series& series, std::string_view name) {
  const auto found = series.find(name);
  return found == series.end() ? 0 : found->second;
}

double sum_of(const Series& series, std::string_view prefix) {
  double sum = 0;
  for (auto at = series.lower_bound(prefix); at != series.end() && at->first.starts_with(prefix); ++at) {
    sum += at->second;
  }
  return sum;
}

Result<Series> scrape(const std::string& address) {
  const auto answer = http_get({.address = address,
                                .target = "/metrics",
                                .headers = {},
                                .largest_body = std::size_t{64} << 20U,
                                .time_limit = std::chrono::seconds{10},
                                .before_sending = {}});
  if (!answer) return fail(answer.error());
  if (answer->status != 200) return fail(fmt::format("read /metrics of {}: status {}", address, answer->status));
  return parse_series(answer->body);
}

HistogramGrowth growth_of(std::string_view histogram, const Series& before, const Series& after, double bound) {
  const auto grown = [&](const std::string& name) { return value_of(after, name) - value_of(before, name); };
  const std::string name(histogram);
  HistogramGrowth growth;
  growth.values = grown(name + "_count");
  if (growth.values <= 0) return {};
  growth.mean = grown(name + "_sum") / growth.values;
  double at_most_bound = growth.values;
  double lowest_of_all = std::numeric_limits<double>::infinity();  // bound below which all values are
  double nearest = std::numeric_limits<double>::infinity();
  const std::string prefix = name + "_bucket{le=\"";
  for (auto at = after.lower_bound(prefix); at != after.end() && at->first.starts_with(prefix); ++at) {
    const double edge = std::strtod(at->first.c_str() + prefix.size(), nullptr);  // "+Inf" is infinite
    const double below = grown(at->first);
    if (below >= growth.values) lowest_of_all = std::min(lowest_of_all, edge);
    if (edge >= bound && edge < nearest) {
      nearest = edge;
      at_most_bound = below;
    }
  }
  growth.above = growth.values - at_most_bound;
  growth.highest = lowest_of_all;
  return growth;
}

}  // namespace fleetledger::bench
