#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/commands/commands.h"
#include "collector/daemon.h"
#include "collector/discovery/discovery.h"
#include "config/config.h"
#include "config/problem.h"
#include "core/ledger_store.h"

namespace fleetledger {

/// The configuration in force and where things are, for one verb.
struct Setup {
  std::string file;  ///< where the configuration is or would be
  Config config;
  Places places;
  std::vector<Problem> problems;
  std::vector<Problem> remarks;
};

/// Reads flags, environment and file, in that precedence. Never fails: what is wrong is among the problems.
[[nodiscard]] Setup load_setup(const CommonArguments& common);

/// All of them, to stderr.
void print_problems(const Setup& setup);

/// Reads likewise for verbs that cannot go on with problems: prints them and returns nothing.
[[nodiscard]] std::optional<Setup> load_good_setup(const CommonArguments& common);

/// Prints "fleetledger: <text>" to stderr; returns kExitFailed.
int print_error(const Error& error);

/// The configured store; prints why if it cannot be opened, and returns nullptr.
[[nodiscard]] std::unique_ptr<LedgerStore> open_configured_store(const Setup& setup);

/// What all agents' files say now.
[[nodiscard]] std::shared_ptr<const Fleet> read_fleet(const Setup& setup);

/// The agent that is meant by an id, a path, or a name while only one has it. Otherwise prints why, with the ids that
/// the name could mean, and returns nullptr.
[[nodiscard]] const Agent* find_agent(const Fleet& fleet, const std::string& wanted);

}  // namespace fleetledger
