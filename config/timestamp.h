#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/units.h"

namespace fleetledger {

/// ISO 8601 in UTC, as programs write it: `2025-03-01T12:00:00Z`, with a fraction of up to nine digits (cut to
/// milliseconds), with `+00:00` in place of `Z`. Any other form, offset or a date that does not exist is nothing.
/// Years 1970 to 9999. No locale.
[[nodiscard]] std::optional<WallTime> parse_iso_timestamp(std::string_view text);

/// Milliseconds since 1970, within the same years.
[[nodiscard]] std::optional<WallTime> timestamp_from_ms(std::int64_t ms);

class JsonValue;
/// Either of the two, by the value's type.
[[nodiscard]] std::optional<WallTime> read_timestamp(const JsonValue& value);

}  // namespace fleetledger
