#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>
#include <utility>

#include "collector/commands/commands.h"
#include "collector/commands/metering.h"
#include "collector/commands/setup.h"
#include "collector/log.h"

namespace fleetledger {
namespace {

/// A ledger that stays open takes six descriptors; the usual soft limit of 1024 is meant for select().
void raise_descriptor_limit() {
  constexpr rlim_t kEnough = 16384;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kEnough) {
    limit.rlim_cur = std::min(limit.rlim_max, kEnough);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

Result<Config> reload(const CommonArguments& common) {
  const auto setup = load_setup(common);
  if (setup.problems.empty()) {
    return setup.config;
  }
  for (const auto& problem : setup.problems) {
    log::error("bad_config", {{"problem", to_string(problem)}});
  }
  const auto more = setup.problems.size() - 1;
  return fail(to_string(setup.problems.front()) + (more == 0 ? "" : " (and " + std::to_string(more) + " more)"),
              Error::Kind::invalid);
}

}  // namespace

int run_command(const CommonArguments& common) {
  auto manager = ServiceManager::from_environment();
  log::mark_for_journal();
  const auto setup = load_good_setup(common);
  if (!setup) {
    return kExitBadConfig;
  }
  raise_descriptor_limit();
  DaemonOptions options;
  options.manager = std::move(manager);
  options.serve = true;
  options.version = FLEETLEDGER_VERSION;
  options.reload = [common] { return reload(common); };
  for (const auto& remark : setup->remarks) {
    log::warning("config", {{"remark", to_string(remark)}});
  }
  log::info(
      "starting",
      {{"version", FLEETLEDGER_VERSION}, {"backend", setup->config.storage.backend}, {"home", setup->places.home}});
  return meter(*setup, std::move(options));
}

}  // namespace fleetledger
