#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace fleetledger {

/// How far a source of events has been read, kept in the ledger together with the events that came from it: what is
/// before it has been taken in, what is behind it has not.
struct ReadMark {
  std::uint64_t device = 0;  ///< which file, as stat says
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;       ///< the first thing not read: a byte of a log, a row of a ledger
  std::uint64_t fingerprint = 0;  ///< of what lies right before `offset`: another one there, and it is another file
  std::string memory;             ///< what the reader needs to go on as if it had never stopped; at most 1 KiB

  friend bool operator==(const ReadMark&, const ReadMark&) = default;
};

using ReadMarks = std::map<std::string, ReadMark>;  ///< by the source's name

/// The names of sources.
inline constexpr std::string_view kSentinelLog = "sentinel-events";
inline constexpr std::string_view kAgentLedger = "agent-ledger";

}  // namespace fleetledger
