#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "collector/http/query.h"

namespace fleetledger {

// Values of query parameters as the agents' own servers read them. What cannot be meant is the default; nothing fails.
// A parameter that is given several times is not a number, so it is the default too.

/// JavaScript's Number(text): NaN if it is none; 0 if it is empty or white space; "0x1F", "1e3", ".5", "Infinity".
[[nodiscard]] double javascript_number(std::string_view text);

/// A positive, finite number.
[[nodiscard]] double positive_number(const Query& query, std::string_view name, double otherwise);

/// A number from 1 on, its fraction cut off; larger ones count as `most`.
[[nodiscard]] std::int64_t limited_count(const Query& query, std::string_view name, std::int64_t otherwise,
                                         std::int64_t most);

/// A text that is not empty.
[[nodiscard]] std::optional<std::string> text_value(const Query& query, std::string_view name);

}  // namespace fleetledger
