#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetledger::bench {

/// The values of a text in Prometheus' format by series as it stands there: `name{label="value"}`.
using Series = std::map<std::string, double, std::less<>>;
[[nodiscard]] Series parse_series(std::string_view text);

/// 0 where there is none of that name.
[[nodiscard]] double value_of(const Series& series, std::string_view name);
/// Of all series whose name and labels begin so.
[[nodiscard]] double sum_of(const Series& series, std::string_view prefix);

/// What a program that is scraped at `address` ("127.0.0.1:9256", "unix:/path") says there.
[[nodiscard]] Result<Series> scrape(const std::string& address);

/// The values of a histogram between two scrapes.
struct HistogramGrowth {
  double values = 0;
  double mean = 0;
  double above = 0;    ///< how many were above a bound, as far as its buckets tell
  double highest = 0;  ///< bound of the highest bucket that got one; above all bounds: infinite
};
[[nodiscard]] HistogramGrowth growth_of(std::string_view histogram, const Series& before, const Series& after,
                                        double bound);

}  // namespace fleetledger::bench
