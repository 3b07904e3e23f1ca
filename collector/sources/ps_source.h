#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "collector/sources/process_source.h"

struct uv_loop_s;

namespace fleetledger {

/// Which ps this is: what it is asked for, and how it answers.
enum class PsFlavour {
  procps,  ///< Linux: procps-ng
  macos,   ///< two calls per look: reaped children only show in a call of their own
};
#ifdef __APPLE__
inline constexpr PsFlavour kPsFlavour = PsFlavour::macos;
#else
inline constexpr PsFlavour kPsFlavour = PsFlavour::procps;
#endif

struct PsOptions {
  std::string program;  ///< absolute path: see find_program()
  std::chrono::milliseconds timeout{5'000};
  std::size_t output_limit = std::size_t{32} << 20U;  ///< bytes; about 300,000 processes
  PsFlavour flavour = kPsFlavour;
};

/// Looks by one run of `ps -A` each, whose output is read in the pool. The loop outlives the source; a source that goes
/// away in the middle of a look ends its ps without calling back, and the loop goes on until that is reaped.
[[nodiscard]] std::unique_ptr<ProcessSource> make_ps_source(uv_loop_s* loop, PsOptions options);

}  // namespace fleetledger
