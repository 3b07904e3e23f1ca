#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collector/sources/pane_source.h"

struct uv_loop_s;

namespace fleetledger {

struct TmuxOptions {
  std::string program;     ///< absolute path: see find_program() and trusted_program()
  std::string socket_dir;  ///< TMUX_TMPDIR: the folder that holds `tmux-<uid>/default`; empty: tmux's own default
  std::chrono::milliseconds timeout{5'000};
  std::size_t output_limit = std::size_t{8} << 20U;  ///< bytes
};

/// Lists panes by one run of `tmux list-panes -a` each, on our user's default tmux server. Starts no server.
/// Loop and lifetime as make_ps_source().
[[nodiscard]] std::unique_ptr<PaneSource> make_tmux_source(uv_loop_s* loop, TmuxOptions options);

/// Reads what `tmux list-panes` printed. A line that is not whole or not as asked fails it all. Pure.
[[nodiscard]] Result<std::vector<Pane>> parse_panes(std::string_view output);

}  // namespace fleetledger
