#pragma once

#include <map>
#include <string>

#include "collector/commands/setup.h"
#include "core/result.h"

namespace fleetledger {

/// What the collector of this user that runs answers to GET `target`, asked with the operator's token at the configured
/// addresses. Otherwise an Error: no collector runs, it does not serve, does not take the token, or it is not proven
/// that it is who listens there: then nothing is sent. Blocks, for a second at most: to be called in the pool.
[[nodiscard]] Result<std::string> ask_running_collector(const Setup& setup, const std::string& target);

/// The agents whose ledgers the collector of this user that runs cannot write, by id, and why: files alone do not say
/// so. None where no collector runs. Blocks likewise.
[[nodiscard]] std::map<std::string, std::string> unavailable_agents(const Setup& setup);

}  // namespace fleetledger
