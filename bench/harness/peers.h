#pragma once

#include <string>
#include <vector>

#include "bench/harness/bars.h"
#include "bench/harness/metered.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

/// What a tool takes for one view of the host.
struct PeerCost {
  std::string name;
  std::string what;         ///< one view of it
  Spread cpu_ms;            ///< by the kernel's accounts
  double resident_mib = 0;  ///< 0: it does not stay
};

/// What one host with a fleet costs to be looked at, by us and by whoever else is installed.
struct Peers {
  std::size_t agents = 0;
  std::size_t sessions = 0;
  Metered procfs;
  Metered ps;
  Spread look_and_charge;  ///< a look at /proc, the charging of it and the sums of its sources
  Spread bare_ps;
  Spread bare_tmux;   ///< `tmux list-panes -a`
  Spread in_process;  ///< a sampler in each agent's server: a `ps -p` an agent, a `tmux list-panes` a session
  std::vector<PeerCost> others;
  std::vector<std::string> missing;  ///< not installed
};

/// Meters a fleet in real tmux sessions with about a thousand processes on the host: idle ones are added. The tmux
/// server is the one that TMUX_TMPDIR names.
[[nodiscard]] Result<Peers> measure_peers(const MeteredOptions& options);

[[nodiscard]] std::vector<Bar> peers_bars(const Peers& peers);
[[nodiscard]] std::string peers_table(const Peers& peers);
[[nodiscard]] std::string peers_json(const Peers& peers);

}  // namespace fleetledger::bench
