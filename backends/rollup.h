#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/ledger_queries.h"
#include "core/sample.h"
#include "core/units.h"

// What rows come to, and in which hour they are: the arithmetic that all backends share.

namespace fleetledger {

inline constexpr std::chrono::hours kHour{1};
inline constexpr std::chrono::hours kDay{24};

/// When the hour or the day (UTC) begins in which `time` lies.
[[nodiscard]] WallTime hour_of(WallTime time);
[[nodiscard]] WallTime day_of(WallTime time);

/// Rows of one source, added up. It is the same in whatever order, but for the last digits of `cpu_sum` and
/// `resident_sum`. Sums of amounts that make no sense stand still before they overflow.
struct Tally {
  std::int64_t rows = 0;
  double cpu_sum = 0;  ///< of percentages, like the next two
  double cpu_min = 0;
  double cpu_max = 0;
  double resident_sum = 0;  ///< bytes
  Bytes resident_min;
  Bytes resident_max;
  std::optional<Usage> usage;      ///< of the rows that know it; nothing: none does
  std::optional<Micros> interval;  ///< likewise
  Estimate estimated;              ///< of the other rows
  WallTime first{};                ///< of the oldest row
  Sample newest;

  /// `guess`: how long the row's interval was if it does not say so.
  void add(const Sample& row, Micros guess);
  void add(const Tally& more);

  /// As SourceSummary::time_weighted_cpu_percent.
  [[nodiscard]] std::optional<double> time_weighted() const;

  friend bool operator==(const Tally&, const Tally&) = default;
};

/// What the rows of one source come to in an hour, or in a day.
struct Rollup {
  WallTime start{};
  std::string source;
  Tally tally;
  bool complete = true;  ///< of an hour: all rows that it counts are in the ledger, as far as is known
};

/// How long a row stands for that does not say so, if the one before it was at `before`.
[[nodiscard]] Micros guess_interval(const std::optional<WallTime>& before, WallTime ts, Micros most);

}  // namespace fleetledger
