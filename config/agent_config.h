#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/secret.h"
#include "core/result.h"

namespace fleetledger {

/// A key that should hold true or false.
enum class Flag { absent, no, yes, wrong_type };

/// What an agent's own config.json says, as far as we need it. Absent, of a wrong type or out of range: nothing.
struct AgentConfig {
  std::string project_name;  ///< foreign text; may be empty
  std::optional<std::uint16_t> port;
  AgentToken token;
  std::string tmux_path;  ///< foreign text; may be empty
  Flag development_agent = Flag::absent;
  Flag ledger_enabled = Flag::absent;  ///< monitoring.resourceLedger.enabled
  std::optional<std::chrono::milliseconds> sample_interval;
  std::optional<std::chrono::milliseconds> idle_sample_interval;
  std::optional<std::chrono::seconds> retention;
  std::vector<std::string> remarks;  ///< which keys were not taken as they stand, and why; no values
};

/// A text that is not a JSON object is an Error that says why.
[[nodiscard]] Result<AgentConfig> parse_agent_config(std::string_view text);

}  // namespace fleetledger
