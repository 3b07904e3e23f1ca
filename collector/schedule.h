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

  /// Adds an agent, or gives a known one another period. Its next deadline is the first multiple to come that lies at
  /// least half a period after it was last due, or was added: a row over less than that would say little. A deadline
  /// that lies so far after it already is never moved further off, so that an agent whose period changes again and
  /// again is due all the same. Nothing changes if the period is the same.
  void set(const std::string& agent, Micros period, MonotonicTime now);
  void remove(const std::string& agent);

  /// The earliest deadline; nothing if there is no agent.
  [[nodiscard]] std::optional<MonotonicTime> next() const;

  /// Whether take_due() would name this agent.
  [[nodiscard]] bool is_due(const std::string& agent, MonotonicTime now) const;

  /// How many deadlines, over all agents, would be skipped by a take_due() at that moment.
  [[nodiscard]] std::uint64_t passed(MonotonicTime now) const;

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
    MonotonicTime since{};  ///< when it was last due, or was added
    MonotonicTime deadline{};
  };

  [[nodiscard]] std::uint64_t passed(const Entry& entry, MonotonicTime now) const;
  [[nodiscard]] MonotonicTime first_multiple_after(MonotonicTime moment, Micros period) const;

  MonotonicTime origin_;
  std::map<std::string, Entry> entries_;
};

}  // namespace fleetledger
