#pragma once

#include "collector/commands/setup.h"
#include "collector/daemon.h"

namespace fleetledger {

/// What `run` and `sample` share: takes the writer's lock if ledgers are to be written, opens the store and runs the
/// daemon to its end. `options` without config and places, which come from the setup. Returns the exit code.
int meter(const Setup& setup, DaemonOptions options);

}  // namespace fleetledger
