#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace fleetledger {

/// How many durations fell into each of some ranges, and their sum. Neither falls.
class DurationHistogram {
 public:
  using Duration = std::chrono::nanoseconds;

  /// The upper bound of each range, rising; a duration that equals one is within it. A last range has none.
  DurationHistogram(std::initializer_list<Duration> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void add(Duration duration) {
    const auto range = std::lower_bound(bounds_.begin(), bounds_.end(), duration) - bounds_.begin();
    ++counts_[static_cast<std::size_t>(range)];
    sum_ += duration;
  }

  [[nodiscard]] const std::vector<Duration>& bounds() const { return bounds_; }
  [[nodiscard]] const std::vector<std::uint64_t>& counts() const { return counts_; }  ///< one more than bounds
  [[nodiscard]] Duration sum() const { return sum_; }

 private:
  std::vector<Duration> bounds_;
  std::vector<std::uint64_t> counts_;
  Duration sum_{};
};

}  // namespace fleetledger
