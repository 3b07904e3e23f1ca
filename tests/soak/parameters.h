#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace fleetledger::soak {

/// What a long run sets in the environment; `usual` where it does not, as in CTest.
inline std::uint64_t parameter(const char* name, std::uint64_t usual) {
  const char* value = std::getenv(name);
  return value == nullptr ? usual : std::stoull(value);
}

/// The numbers of a run, the same again for the same SOAK_SEED; says which that was.
inline std::mt19937_64 seeded() {
  const auto seed = parameter("SOAK_SEED", std::random_device{}());
  std::printf("SOAK_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  return std::mt19937_64(seed);
}

/// A whole number from `least` to `most`.
inline std::int64_t pick(std::mt19937_64& random, std::int64_t least, std::int64_t most) {
  return std::uniform_int_distribution<std::int64_t>(least, most)(random);
}

}  // namespace fleetledger::soak
