#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collector/discovery/discovery.h"
#include "collector/events/sentinel_log.h"
#include "collector/snapshot.h"
#include "core/sample.h"
#include "core/units.h"

namespace fleetledger {

/// How long counters are shown after what they count is over, so that whoever reads them now and then sees their ends.
inline constexpr Micros kShownAfterEnd = std::chrono::minutes{5};

/// The kinds of rate-limit events that are counted apart; any other kind counts as the last of them. The first three
/// are what sentinels tell.
inline constexpr std::array<std::string_view, 6> kEventKinds{kThrottle,    kQuota,          kOverload,
                                                             kCircuitOpen, kCircuitRecover, "other"};
inline constexpr std::size_t kSentinelKinds = 3;

/// What was counted of one agent since the collector began. None of it falls, whatever becomes of the agent meanwhile.
struct AgentCounters {
  AgentIdentity identity;  ///< as it was last
  std::array<Usage, kRoles> cpu;
  std::array<std::uint64_t, kEventKinds.size()> events{};
  SkippedLines skipped{};                     ///< of its sentinels' log
  bool metered = false;                       ///< now
  std::optional<MonotonicTime> metered_last;  ///< when that ended; nothing while it is metered, or if it never was
  std::optional<MonotonicTime> gone_since;    ///< nothing while it is in the fleet

  /// Whether its CPU time is to be shown: while it is metered, and a while after.
  [[nodiscard]] bool shows_cpu(MonotonicTime now) const {
    return metered || (metered_last && now - *metered_last < kShownAfterEnd);
  }
  /// Whether anything of it is to be shown: while it is in the fleet, and a while after.
  [[nodiscard]] bool shows(MonotonicTime now) const { return !gone_since || now - *gone_since < kShownAfterEnd; }
};

/// A session with counters of its own.
struct SessionCounters {
  std::string name;  ///< foreign text
  Usage cpu;
  Bytes resident;               ///< at the last look
  std::uint32_t processes = 0;  ///< likewise
  std::optional<MonotonicTime> ended;
};

/// Where the CPU time of the whole host went since the collector began. None of it falls; together it is what the
/// kernel counted, and where rounding made the agents' part larger than that, `other` stands still until it is made up.
struct HostCounters {
  Usage agents;
  Usage collector;
  Usage unattributed;
  Usage other;
};

/// Adds up what looks and events say. One thread; reads no clock.
class FleetCounters {
 public:
  static constexpr std::size_t kMostGone = 1000;           ///< agents that are gone and remembered
  using SessionKey = std::pair<std::string, std::string>;  ///< an agent's id, a session's id

  /// At most so many sessions are counted: those that came first.
  explicit FleetCounters(std::size_t most_sessions) : most_sessions_(most_sessions) {}

  /// When the fleet has changed. Returns the ids of agents that were gone longest and are forgotten.
  std::vector<std::string> adopt(const Fleet& fleet, MonotonicTime now);
  /// After each look.
  void add(const Snapshot& snapshot, MonotonicTime now);
  void add(const AgentIdentity& agent, const std::vector<RateLimitEvent>& events);
  void add_skipped(const AgentIdentity& agent, const SkippedLines& skipped);

  [[nodiscard]] const std::map<std::string, AgentCounters>& agents() const { return agents_; }  ///< by id
  [[nodiscard]] const HostCounters& host() const { return host_; }
  [[nodiscard]] const std::map<SessionKey, SessionCounters>& sessions() const { return sessions_; }
  [[nodiscard]] std::size_t most_sessions() const { return most_sessions_; }
  /// Sessions at the last look that are not counted because there are too many.
  [[nodiscard]] std::size_t sessions_left_out() const { return left_out_; }

 private:
  void add_sessions(const Snapshot& snapshot, MonotonicTime now);

  std::size_t most_sessions_;
  std::map<std::string, AgentCounters> agents_;
  std::map<SessionKey, SessionCounters> sessions_;
  std::size_t left_out_ = 0;
  HostCounters host_;
  Usage host_busy_;
};

}  // namespace fleetledger
