#pragma once

#include <functional>
#include <map>
#include <string>

namespace fleetledger::test {

/// What this program asks of the disk, counted where that leaves it: counted_calls.cpp, among a test's sources, stands
/// before the C library's own calls.
struct CountedCalls {
  using Names = std::map<std::string, int, std::less<>>;  ///< as they were given

  int all = 0;   ///< open, openat, fstatat and pread
  Names stats;   ///< fstatat
  Names opened;  ///< files, not folders
};

/// Since this was called last, by any thread.
CountedCalls take_counted_calls();

}  // namespace fleetledger::test
