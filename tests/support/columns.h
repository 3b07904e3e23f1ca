#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

namespace fleetledger::test {

/// How many columns a terminal gives UTF-8 text of ordinary width: its characters, however many bytes each has.
inline std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace fleetledger::test
