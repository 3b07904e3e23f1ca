#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/units.h"

namespace fleetledger {

/// The sentinels' log is in this folder of an agent, under this name; so begin the names of its older generations.
inline constexpr std::string_view kLogsFolder = "logs";
inline constexpr std::string_view kSentinelLogName = "sentinel-events.jsonl";
inline constexpr std::string_view kSentinelLogStem = "sentinel-events";

/// What a line of that log says of a rate limit. Foreign text throughout.
struct SentinelEvent {
  WallTime ts{};
  std::string kind;       ///< as the sentinel calls it: throttle-detected, recovery-reached, ...
  bool recovery = false;  ///< a session came out of a throttling; otherwise it was throttled
  std::optional<std::string> session_name;
  std::optional<std::string> detail;  ///< what is no text there is here as JSON
};

/// Why a line is none of those.
enum class SkippedLine {
  other_sentinel,  ///< another sentinel's: nothing is wrong with it
  old,             ///< of longer ago than events are kept: likewise
  unknown_kind,    ///< the rate-limit sentinel says something that is not known here
  not_json,        ///< it is not one JSON object
  wrong_type,      ///< a member is missing or of another type than it must be
  bad_time,        ///< its timestamp is none
  future,          ///< its timestamp lies in the future
  too_long,        ///< longer than kLongestSentinelLine
};
inline constexpr std::array<std::string_view, 8> kSkippedLines{
    "other_sentinel", "old", "unknown_kind", "not_json", "wrong_type", "bad_time", "future", "too_long"};
[[nodiscard]] constexpr std::string_view to_string(SkippedLine why) {
  return kSkippedLines[static_cast<std::size_t>(why)];
}

inline constexpr std::size_t kLongestSentinelLine = std::size_t{64} << 10U;  ///< bytes

/// Of a line without its line break; one with a time outside of [oldest, newest] is skipped.
[[nodiscard]] std::variant<SentinelEvent, SkippedLine> parse_sentinel_line(std::string_view line, WallTime oldest,
                                                                           WallTime newest);

}  // namespace fleetledger
