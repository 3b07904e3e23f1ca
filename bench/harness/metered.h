#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/harness/programs.h"
#include "bench/harness/scrape.h"
#include "bench/harness/spread.h"
#include "core/result.h"

namespace fleetledger::bench {

struct MeteredOptions {
  std::string program;  ///< fleetledger
  std::string fleet;    ///< the folder of a fleet that runs
  std::string folder;   ///< ours, empty: configuration, state, socket
  std::string source;   ///< ps, procfs
  std::string tmux;     ///< the program; empty: tmux
  int ticks = 16;       ///< of one second each, after those that it takes to settle
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
  double lag_mean_ms = 0;      ///< the loop between two waits, from the first look to the end
  double lag_highest_ms = 0;   ///< at most; bound of a bucket
  double lag_above_10_ms = 0;  ///< turns of the loop
  double work_highest_ms = 0;  ///< the loop's CPU time in one of these turns; bound of a bucket
  double work_above_10_ms = 0;
  double turns = 0;
  double resident_mib = 0;  ///< at the end
  double start_up_ms = 0;   ///< from its start to its first look
  double ledger_kib = 0;    ///< by which all ledgers' files grew a tick; below zero if they shrank
};

/// What is said of a collector and its ledgers at one moment.
struct Reading {
  double own_before_scrape = 0;  ///< CPU ms since its start
  double own = 0;                ///< likewise, after the scrape
  Series series;
  std::int64_t ledger_bytes = 0;  ///< all ledgers' files with their -wal
};

/// What readings tell: `ready` after the first look, then one after the ticks that it takes to settle and one after
/// each tick since. A tick that came late, or with another one, counts in everything but the spreads. Fails with fewer
/// than five others. Pure; what is not in the readings is left at zero.
[[nodiscard]] Result<Metered> metered_of(const Reading& ready, const std::vector<Reading>& settled);

/// Runs `fleetledger run` on a fleet. `between`: called once in every tick measured, when the tick is over.
[[nodiscard]] Result<Metered> meter_fleet(const MeteredOptions& options,
                                          const std::function<Result<void>()>& between = {});

}  // namespace fleetledger::bench
