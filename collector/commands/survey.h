#pragma once

#include <vector>

#include "collector/commands/setup.h"
#include "collector/sources/pane_source.h"
#include "core/process_table.h"
#include "core/result.h"

namespace fleetledger {

/// One look at the host outside the daemon, by the same sources.
struct Survey {
  Result<ProcessTable> processes;
  Result<std::vector<Pane>> panes;
};

/// Looks once, at processes and then at panes; returns when both have answered, failed or run out of time.
[[nodiscard]] Survey survey_host(const Setup& setup, const Fleet& fleet);

}  // namespace fleetledger
