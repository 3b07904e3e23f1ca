#include "collector/start_up_memory.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#ifdef __linux__

namespace {

/// KiB of this program's code that are in memory, as the kernel tells it.
std::int64_t resident_code() {
  std::ifstream in("/proc/self/smaps");
  const auto here = reinterpret_cast<std::uintptr_t>(&resident_code);
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    if (words >> std::hex >> begin >> dash >> end && dash == '-') inside = begin <= here && here < end;
    if (inside && line.starts_with("Rss:")) return std::stoll(line.substr(4));
  }
  return -1;
}

}  // namespace

TEST_CASE("code that only the start needed is given back, and can be run again") {
  const auto before = resident_code();
  REQUIRE(before > 0);
  fleetledger::give_back_start_up_memory();
  const auto after = resident_code();
  CHECK(after > 0);
  CHECK(after < before);
  CHECK(std::to_string(4711) + "x" == "4711x");
}

#endif
