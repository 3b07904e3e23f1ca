#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/discovery/roots.h"
#include "core/charge.h"
#include "core/process_table.h"
#include "core/sample.h"

namespace fleetledger {

/// What one source used since its agent's last row.
struct SourceReading {
  std::string source;
  Pid pid = 0;  ///< its root; 0 for orphans
  Usage usage;
  Bytes resident;               ///< at the last look
  std::uint32_t processes = 0;  ///< at the last look
};

/// What one agent's sources used since its last row, the server first, then sessions by name, then orphans.
struct AgentReading {
  Micros interval{};  ///< between the look of the last row and the last look
  std::vector<SourceReading> sources;
};

/// The rows of one reading, and their aggregate last. No source, no row.
[[nodiscard]] std::vector<Sample> to_samples(const AgentReading& reading, WallTime ts);

/// Charges every look and keeps what each agent's sources used until the agent's row is due. Holds what is live and
/// what has not been taken yet, nothing else. One thread; reads no clock.
class Meter {
 public:
  explicit Meter(Scope scope) : scope_(scope) {}

  /// Charges everybody for the time since the last look. The first look is a baseline; an agent that is new counts from
  /// the look before.
  void look(ProcessTable now, const ResolvedRoots& resolved);

  /// What has come together for this agent (its number in claims) since the last call; nothing before its first
  /// interval is over, or if it is not metered.
  [[nodiscard]] std::optional<AgentReading> take(std::uint32_t agent);

  void set_scope(Scope scope) { scope_ = scope; }

  [[nodiscard]] const ProcessTable& last_look() const { return last_; }
  [[nodiscard]] const Charges& last_charges() const { return charges_; }
  [[nodiscard]] const Membership& membership() const { return membership_; }
  /// Sources whose usage is being kept, over all agents.
  [[nodiscard]] std::size_t tracked_sources() const;

 private:
  struct Pending {
    SourceReading reading;
    bool live = false;  ///< has a root at the last look
  };
  struct Account {
    MonotonicTime since{};
    std::map<std::uint32_t, Pending> sources;  ///< by the claim's source number
    bool metered = false;
  };

  void open_accounts(const ResolvedRoots& resolved, MonotonicTime since);
  void book_charges();

  Scope scope_;
  bool looked_ = false;
  ProcessTable last_;
  Charges charges_;
  Membership membership_;
  std::map<std::uint32_t, Account> accounts_;  ///< by the claim's agent number
};

}  // namespace fleetledger
