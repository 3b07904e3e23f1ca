#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/sample.h"

namespace fleetledger {

/// No percentage is above this: a million busy cores.
inline constexpr double kMostPercent = 1e8;
/// No amount of bytes or microseconds is above this; a double still tells it from its neighbours.
inline constexpr std::int64_t kMostAmount = std::int64_t{1} << 53;

/// `value`, or 0 if no percentage can be so.
[[nodiscard]] double clean_percent(double value);

/// `value`, or 0 if no amount can be so.
[[nodiscard]] std::int64_t clean_amount(std::int64_t value);

/// The first kMostTextBytes at most, not ending inside a UTF-8 character.
[[nodiscard]] std::string clip(std::string_view text);

/// A sample or an event as every backend keeps it.
[[nodiscard]] Sample clean(Sample sample);
[[nodiscard]] RateLimitEvent clean(RateLimitEvent event);

}  // namespace fleetledger
