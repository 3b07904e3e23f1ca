#include "collector/commands/metering.h"

#include <cstdio>
#include <optional>
#include <unistd.h>
#include <utility>

#include "collector/commands/state_folder.h"
#include "collector/log.h"

namespace fleetledger {

int meter(const Setup& setup, DaemonOptions options) {
  std::optional<WriterLock> lock;
  if (options.record) {
    if (const auto made = make_state_folder(setup.places.state); !made) {
      return print_error(made.error());
    }
    auto taken = WriterLock::take(setup.places.state);
    if (!taken) {
      return print_error(taken.error());
    }
    lock.emplace(std::move(*taken));
  }
  if (lock) {
    options.listening = [&lock](std::span<const std::uint64_t> listeners) { return lock->note(listeners); };
  }
  const auto store = open_configured_store(setup);
  if (!store) {
    return kExitFailed;
  }
  options.config = setup.config;
  options.places = setup.places;
  const auto ended = run_daemon(std::move(options), *store);
  if (!ended) {
    return print_error(ended.error());
  }
  if (*ended == Ended::stuck) {
    log::warning("stopped",
                 {{"reason", "a ledger, a file or a program did not answer in time; the last tick may be missing"}});
    std::fflush(stdout);
    _exit(kExitOk);  // joining the pool would wait for it
  }
  return kExitOk;
}

}  // namespace fleetledger
