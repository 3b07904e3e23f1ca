#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/process.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

/// CPU time as procps prints it: whole seconds, and the share that it is of the process's age.
struct PsCpu {
  Micros at_least{};      ///< cut off to the resolution of ps
  double share_low = 0;   ///< of the age, 1 = one busy core; what was printed, rounding undone
  double share_high = 0;  ///< likewise; not above share_low: ps says nothing of the share
};

/// One process as ps printed it.
struct PsRow {
  Pid pid = 0;
  Pid parent = 0;
  Uid owner = 0;
  Micros elapsed{};  ///< its age, cut off to whole seconds
  PsCpu own;
  PsCpu with_reaped;
  Bytes resident;
  bool zombie = false;
  ProcessName name;
};

/// The arguments of the one call per look on Linux (procps-ng), and what they print. -S, spelled `S`, is what makes
/// bsdtime and %cpu count reaped children; cputimes and %cuu never do, %cuc always does.
[[nodiscard]] std::vector<std::string> linux_ps_arguments();

/// Reads all of it. Any line that is not exactly as asked for fails it all: real ps prints no such line (it prints
/// control characters of names as '?' or '.'), and of output that is damaged in one place nothing can be believed.
/// An empty output, or one that breaks off in a line, likewise. Pure.
[[nodiscard]] Result<std::vector<PsRow>> parse_linux_ps(std::string_view output);

/// macOS: one call without -S, for own, and one with it, which adds reaped children to `time`.
enum class MacosTimes { own, with_reaped };
[[nodiscard]] std::vector<std::string> macos_ps_arguments(MacosTimes times);

/// Reads one such output; fills `own` and `with_reaped` alike, with hundredths of a second and no share. Pure.
[[nodiscard]] Result<std::vector<PsRow>> parse_macos_ps(std::string_view output);

/// One look from both outputs: the rows of `own`, with the reaped time that `with_reaped`, printed just before, shows
/// for the same process (same pid, parent, and age to 2 s); a process that is only in one has no reaped time yet.
[[nodiscard]] std::vector<PsRow> merge_macos_ps(std::vector<PsRow> own, std::vector<PsRow> with_reaped);

}  // namespace fleetledger
