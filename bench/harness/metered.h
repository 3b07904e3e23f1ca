#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "bench/harness/programs.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

struct MeteredOptions {
  std::string program;  ///< fleetledger
  std::string fleet;    ///< the folder of a fleet that runs
  std::string folder;   ///< ours, empty: configuration, state, socket
  std::string source;   ///< ps, procfs
  std::string tmux;     ///< the program; empty: tmux
  int ticks = 10;       ///< of one second each, after those that it takes to settle
  std::string more{};   ///< more lines for its configuration
};

/// A collector that has looked at a fleet once, ticks every second, and says what it counts at `address`.
struct StartedCollector {
  RunningProgram program;
  std::string address;
  double start_up_ms = 0;  ///< from its start to its first look
};
[[nodiscard]] Result<StartedCollector> start_collector(const MeteredOptions& options);

/// Ticks begin at whole seconds of the monotonic clock; so long after that they are over.
inline constexpr std::chrono::milliseconds kTickIsOver{700};

/// What the collector costs while it meters a fleet with a tick and all its rows every second. CPU in milliseconds by
/// the kernel's accounts; the answers to our scrapes are left out.
struct Metered {
  std::string source;
  std::uint64_t agents = 0;
  std::uint64_t processes = 0;  ///< on the host
  double rows = 0;              ///< a tick
  Spread own;                   ///< a tick: the collector with its threads, ledgers included
  Spread children;              ///< a tick: its ps and tmux
  Spread together;
  double wall_ms = 0;          ///< a tick from its begin to its publishing, mean
  double lag_mean_ms = 0;      ///< the loop between two waits
  double lag_highest_ms = 0;   ///< at most; bound of a bucket
  double lag_above_10_ms = 0;  ///< turns of the loop
  double turns = 0;
  double resident_mib = 0;  ///< at the end
  double start_up_ms = 0;   ///< from its start to its first look
  double ledger_kib = 0;    ///< by which all ledgers' files grew a tick
};

/// Runs `fleetledger run` on a fleet. `between`: called once in every tick measured, when the tick is over.
[[nodiscard]] Result<Metered> meter_fleet(const MeteredOptions& options,
                                          const std::function<Result<void>()>& between = {});

}  // namespace fleetledger::bench
