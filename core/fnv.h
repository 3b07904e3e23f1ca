#pragma once

#include <cstdint>
#include <string_view>

namespace fleetledger {

/// FNV-1a, 64 bit: http://www.isthe.com/chongo/tech/comp/fnv/. Stands for a text in files that outlive the program.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325ULL) {
  for (const char byte : bytes) {
    hash ^= static_cast<std::uint8_t>(byte);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace fleetledger
