#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collector/discovery/safe_file.h"
#include "config/sentinel_line.h"
#include "core/process.h"
#include "core/read_mark.h"
#include "core/sample.h"

namespace fleetledger {

struct LogQuestion {
  std::string agent_path;
  Uid user = 0;                        ///< whose log it must be, or root's
  std::optional<ReadMark> after;       ///< nothing: from the beginning of the oldest generation
  std::optional<FileIdentity> seen{};  ///< the log as LogReading::seen said last: unchanged, it is not opened
  WallTime oldest{};                   ///< older lines are skipped
  WallTime newest{};                   ///< later ones are of the future
  std::size_t most_events = 500;
  std::size_t most_bytes = std::size_t{8} << 20U;
};

using SkippedLines = std::array<std::uint64_t, kSkippedLines.size()>;  ///< how many, by SkippedLine

/// One piece of a log.
struct LogReading {
  std::vector<RateLimitEvent> events;  ///< in the order of their lines
  std::vector<RateLimitEvent> recoveries;
  std::optional<ReadMark> mark;      ///< where the next piece begins; nothing: there never was a log
  std::optional<FileIdentity> seen;  ///< the log, if it was read to its end or is refused as it is
  bool more = false;                 ///< there is a further piece to be read now
  bool unchanged = false;            ///< it is as `seen` in the question: nothing was looked at
  SkippedLines skipped{};
  std::uint64_t bytes = 0;  ///< read
  std::string problem;      ///< what cannot be read, and why; empty if all can
};

/// Reads the next piece of the rate-limit lines in an agent's logs/sentinel-events.jsonl. The mark alone says how far
/// it is read, so that reading can be broken off and begun again at any byte. A line counts when its line break is
/// there; the last one of an older generation without.
/// A log that was renamed is found by its inode, in the same folder, read to its end, and then whatever was written
/// after it. One that was truncated or written anew is read from its beginning. Neither doubles an event: its id is
/// made from its line: "session-sentinel:<ts>:<number>", of lines that are the same in all bytes another for each.
/// Costs the same memory whatever the log is. Blocks on the disk: any thread but the loop's.
[[nodiscard]] LogReading read_sentinel_log(const LogQuestion& question);

}  // namespace fleetledger
