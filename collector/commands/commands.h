#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

// The verbs of the program. Each prints to stdout what was asked for and to stderr what went wrong, and returns the
// exit code.

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadConfig = 78;  ///< EX_CONFIG of sysexits.h

/// What every verb takes.
struct CommonArguments {
  std::optional<std::string> config;  ///< --config
  std::optional<std::string> home;    ///< --home
  bool json = false;                  ///< --json
};

/// fleetledger run
int run_command(const CommonArguments& common);

/// fleetledger check
int check_command(const CommonArguments& common);

/// fleetledger agents
int agents_command(const CommonArguments& common);

struct SampleArguments {
  std::uint64_t ticks = 1;
  Micros interval = std::chrono::seconds{2};
  bool record = false;
};
/// fleetledger sample
int sample_command(const CommonArguments& common, const SampleArguments& arguments);

struct TopArguments {
  bool once = false;
  Micros interval = std::chrono::seconds{2};
};
/// fleetledger top
int top_command(const CommonArguments& common, const TopArguments& arguments);

/// fleetledger explain PID
int explain_command(const CommonArguments& common, Pid pid);

struct LedgerArguments {
  std::string agent;  ///< id, path, or a name that one agent has
  std::chrono::milliseconds since = std::chrono::hours{1};
  std::optional<std::string> source;
  std::int64_t limit = 200;
};
/// fleetledger summary AGENT
int summary_command(const CommonArguments& common, const LedgerArguments& arguments);
/// fleetledger samples AGENT
int samples_command(const CommonArguments& common, const LedgerArguments& arguments);

struct RateLimitArguments {
  LedgerArguments ledger{.since = std::chrono::hours{24}};
  bool context = false;              ///< also what ran before the newest event
  std::optional<std::string> event;  ///< only what ran before this one
};
/// fleetledger rate-limits AGENT
int rate_limits_command(const CommonArguments& common, const RateLimitArguments& arguments);

/// fleetledger version
int version_command(const CommonArguments& common);

}  // namespace fleetledger
