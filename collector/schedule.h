#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/units.h"

namespace fleetledger {

/// When each agent's next row is due. Deadlines are the multiples of an agent's period counted from one origin, so that
/// agents of one period, and of periods that divide each other, are due at the same moments and share one look.
/// Reads no clock; one thread.
class Schedule {
 public:
  explicit Schedule(MonotonicTime origin = {}) : origin_(origin) {}

  /// Adds an agent, or gives a known one another period. Its next deadline is the first multiple that lies at least
  /// half a period ahead: a row over less than that would say little. Nothing changes if the period is the same.
  void set(const std::string& agent, Micros period, MonotonicTime now);
  void remove(const std::string& agent);

  /// The earliest deadline; nothing if there is no agent.
  [[nodiscard]] std::optional<MonotonicTime> next() const;

  /// Whether take_due() would name this agent.
  [[nodiscard]] bool is_due(const std::string& agent, MonotonicTime now) const;

  struct Due {
    std::vector<std::string> agents;  ///< in the order of their names
    std::uint64_t skipped = 0;        ///< deadlines that passed unused, over all agents: they are not made up for
  };
  /// The agents whose deadline is not after `now`; their next one is the first multiple after `now`.
  [[nodiscard]] Due take_due(MonotonicTime now);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Micros period{};
    MonotonicTime deadline{};
  };

  [[nodiscard]] MonotonicTime first_multiple_after(MonotonicTime moment, Micros period) const;

  MonotonicTime origin_;
  std::map<std::string, Entry> entries_;
};

}  // namespace fleetledger
