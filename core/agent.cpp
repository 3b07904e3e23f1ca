#include "core/agent.h"

#include <array>
#include <cstdint>

#include "core/fnv.h"

namespace fleetledger {
namespace {

bool url_safe(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string agent_id(std::string_view name, std::string_view path) {
  constexpr std::size_t kLongestName = 64;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string id;
  for (const char c : name.substr(0, kLongestName)) {
    id += url_safe(c) ? c : '-';
  }
  id += '-';
  const std::uint64_t hash = fnv1a(path);
  for (int shift = 60; shift >= 32; shift -= 4) {
    id += kDigits[(hash >> static_cast<unsigned>(shift)) & 0xFU];
  }
  return id;
}

std::string_view to_string(AgentState state) {
  constexpr std::array<std::string_view, 8> kWords{"sampling", "idle",       "off",         "disabled",
                                                   "yielding", "unreadable", "unavailable", "gone"};
  return kWords.at(static_cast<std::size_t>(state));
}

std::string_view to_string(LedgerLocation location) {
  constexpr std::array<std::string_view, 3> kWords{"auto", "agent", "central"};
  return kWords.at(static_cast<std::size_t>(location));
}

AgentState Agent::state() const {
  if (silent_since) {
    return AgentState::unavailable;
  }
  if (!config_readable) {
    return AgentState::unreadable;
  }
  if (!gate.ledger) {
    return AgentState::disabled;
  }
  if (!gate.sampling) {
    return AgentState::off;
  }
  return live_sessions.empty() ? AgentState::idle : AgentState::sampling;
}

}  // namespace fleetledger
