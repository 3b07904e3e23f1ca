#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

// How durations and sizes are written: digits and a unit, nothing else ("5m", "64KiB"). No sign, no fraction,
// no space, no sum of several. What does not fit is an error (Error::Kind::invalid), never a wrapped number.

/// Units ms, s, m, h, d.
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// In the largest unit that leaves a whole number: 60 s is "1m". Reads back as the same duration, if not negative.
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

/// Units B, KiB, MiB, GiB, TiB.
[[nodiscard]] Result<Bytes> parse_size(std::string_view text);
/// In the largest unit that leaves a whole number. Reads back as the same size, if not negative.
[[nodiscard]] std::string format_size(Bytes size);

/// A moment in UTC: "2026-01-31 08:15:02Z".
[[nodiscard]] std::string utc_text(WallTime time);

/// Foreign text for one line of a message: in double quotes, control characters and broken UTF-8 as \xNN, cut after
/// about 80 bytes.
[[nodiscard]] std::string quoted(std::string_view text);

/// Where the first byte stands that is not UTF-8 (overlong forms and surrogates are not), looked for from where a
/// character begins on; npos where all is well.
[[nodiscard]] std::size_t find_invalid_utf8(std::string_view text, std::size_t from = 0);

}  // namespace fleetledger
