#include <array>

#include "tests/fuzz/config_targets.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/host_targets.h"
#include "tests/fuzz/http_targets.h"

namespace fleetledger::fuzz {

std::span<const Target> targets() {
  static constexpr std::array kTargets{
      Target{"linux_ps", linux_ps},
      Target{"macos_ps", macos_ps},
      Target{"ps_history", ps_history},
      Target{"proc_stat", proc_stat},
      Target{"tmux_panes", tmux_panes},
      Target{"tmux_name", tmux_name},
      Target{"environment", environment},
      Target{"net_socket", net_socket},
      Target{"registry", registry},
      Target{"port_registry", port_registry},
      Target{"agent_config", agent_config},
      Target{"session_file", session_file},
      Target{"sentinel_line", sentinel_line},
      Target{"health", health},
      Target{"timestamp", timestamp},
      Target{"yaml_tree", yaml_tree},
      Target{"configuration", configuration},
      Target{"values", values},
      Target{"listen_address", listen_address},
      Target{"suggestion", suggestion},
      Target{"http_target", http_target},
      Target{"http_parameters", http_parameters},
      Target{"host_name", host_name},
      Target{"http_answer", http_answer},
      Target{"cursor", cursor},
      Target{"api", api},
      Target{"json_writer", json_writer},
      Target{"metrics", metrics},
      Target{"printable_text", printable_text},
      Target{"top", top},
  };
  return kTargets;
}

}  // namespace fleetledger::fuzz
