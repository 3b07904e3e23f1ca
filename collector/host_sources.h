#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collector/discovery/discovery.h"
#include "collector/sources/pane_source.h"
#include "collector/sources/process_source.h"
#include "config/config.h"
#include "core/result.h"

struct uv_loop_s;

namespace fleetledger {

/// How this host's processes and panes are seen, as configured.
struct HostSources {
  std::unique_ptr<ProcessSource> processes;
  std::unique_ptr<PaneSource> panes;
};

/// Where a tmux might be that the configured one is not: what agents' configs suggest. Foreign: each is run only if
/// trusted_program() lets it.
using TmuxHints = std::function<std::vector<std::string>()>;

/// The hints of the metered agents, each once, but for those whose disk does not answer.
[[nodiscard]] std::vector<std::string> tmux_hints(const Fleet& fleet);

/// Finds the programs and sets the sources up on the loop. No ps, or no /proc if that is asked for: an Error. No tmux:
/// a pane source that looks for one each time and says so, because a host without tmux has no sessions and its agents'
/// servers can still be metered.
[[nodiscard]] Result<HostSources> open_host_sources(uv_loop_s* loop, const SamplingConfig& sampling,
                                                    const std::string& tmux_socket_dir, TmuxHints hints);

}  // namespace fleetledger
