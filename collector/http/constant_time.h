#pragma once

#include <cstddef>
#include <string_view>

namespace fleetledger {

/// Whether a caller sent the secret. Takes a time that depends on the length of `sent` alone: neither on where the two
/// differ nor on the length of the secret. An empty secret equals nothing.
[[nodiscard]] inline bool equal_in_constant_time(std::string_view sent, std::string_view secret) {
  if (secret.empty()) return false;
  // Volatile: the compiler must neither leave the loop early nor turn it into memcmp.
  volatile unsigned difference = sent.size() == secret.size() ? 0U : 1U;
  std::size_t at = 0;
  for (const char c : sent) {
    difference = difference | (static_cast<unsigned char>(c) ^ static_cast<unsigned char>(secret[at]));
    at = at + 1 == secret.size() ? 0 : at + 1;
  }
  return difference == 0;
}

}  // namespace fleetledger
