#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "collector/discovery/discovery.h"
#include "collector/service_manager.h"
#include "collector/tick_report.h"
#include "config/config.h"
#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

/// Where things are for the user whose agents are metered.
struct Places {
  std::string home;             ///< stands for "~"
  std::string state;            ///< our own folder
  std::string tmux_socket_dir;  ///< TMUX_TMPDIR; empty: tmux's default
};

/// What discovery needs of a configuration.
[[nodiscard]] DiscoveryOptions discovery_options(const Config& config, const Places& places);

struct DaemonOptions {
  Config config;
  Places places;
  std::optional<Micros> interval;           ///< one period for all agents (foreground sampling)
  std::optional<std::uint64_t> stop_after;  ///< so many ticks after the baseline
  bool record = true;                       ///< false: nothing is written
  std::string version;                      ///< of the program, for /metrics
  bool serve = false;                       ///< over HTTP, if the configuration says so too
  /// Told before the first look which sockets it listens at; an Error ends it. May be empty.
  std::function<Result<void>(std::span<const std::uint64_t> listeners)> listening;
  std::function<void(const TickReport&)> on_tick;  ///< each tick, the baseline (number 0) included
  /// Reads the configuration again, on SIGHUP; an Error leaves the old one in force.
  std::function<Result<Config>()> reload;
  ServiceManager manager;  ///< told of the start, once the first look has succeeded, of reloads, and of the end
};

enum class Ended {
  stopped,  ///< as asked: everything is closed and on disk
  stuck,    ///< a ledger, a file or a program did not answer in the time that stopping may take: join no thread
};

/// Runs the collector on a loop of its own until SIGTERM, SIGINT or `stop_after`, then ends within a second.
/// Fails if a source cannot be set up or an address is taken, before a ledger is touched. The store must outlive it.
[[nodiscard]] Result<Ended> run_daemon(DaemonOptions options, LedgerStore& store);

}  // namespace fleetledger
