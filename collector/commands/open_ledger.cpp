#include "collector/commands/open_ledger.h"

#include <utility>

#include "collector/clock.h"
#include "collector/commands/setup.h"

namespace fleetledger {

tl::expected<OpenLedger, int> open_ledger(const CommonArguments& common, const LedgerArguments& arguments) {
  const auto setup = load_good_setup(common);
  if (!setup) {
    return tl::unexpected(kExitBadConfig);
  }
  auto fleet = read_fleet(*setup);
  const auto* agent = find_agent(*fleet, arguments.agent);
  if (agent == nullptr) {
    return tl::unexpected(kExitFailed);
  }
  if (setup->config.storage.backend == "memory") {
    print_error({"storage.backend is memory: its ledgers are in the running collector alone"});
    return tl::unexpected(kExitFailed);
  }
  auto store = open_configured_store(*setup);
  if (!store) {
    return tl::unexpected(kExitFailed);
  }
  const double hours = std::chrono::duration<double, std::ratio<3600>>(arguments.since).count();
  auto key = ledger_of(*agent);
  return OpenLedger{std::move(store), std::move(fleet), agent, std::move(key),
                    window_before(system_clock().wall(), hours)};
}

}  // namespace fleetledger
