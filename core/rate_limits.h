#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/agent.h"
#include "core/ledger_store.h"
#include "core/result.h"
#include "core/sample.h"
#include "core/units.h"

// What rate-limit events mean, and what ran before one of them.

namespace fleetledger {

/// Which limit was met. The two call for different answers: of an account's quota everybody who uses the account has a
/// share, while a server that is too busy is nobody's doing here.
enum class Limit {
  account,  ///< an account's quota is used up
  server,   ///< the server throttles
  unknown,  ///< a breaker opened or closed: it tells of errors in a row, not of their cause
};
[[nodiscard]] Limit limit_of(const RateLimitEvent& event);
[[nodiscard]] std::string_view to_string(Limit limit);

/// Whether both events met the same account's limits; nothing where either account is unknown ("default" names none).
[[nodiscard]] std::optional<bool> same_account(const RateLimitEvent& left, const RateLimitEvent& right);

/// LedgerStore::rate_limit_report, and with it the events that lie in a ledger of the agent's own and were not copied
/// yet: for who reads beside a collector that may not run. An Error if either ledger cannot be read. Any thread that
/// may wait.
[[nodiscard]] Result<RateLimitReport> report_with_uncopied(LedgerStore& store, const LedgerKey& ledger, WallTime since);

inline constexpr std::chrono::milliseconds kContextLength = std::chrono::minutes{5};

/// An agent in the stretch of time before an event.
struct AgentContext {
  std::size_t agent = 0;                ///< where it stands among those that were asked about
  std::string unread;                   ///< why its ledger could not be read; empty: it was
  std::vector<SourceActivity> sources;  ///< those that ran, without aggregate, which is their sum; in no certain order
  std::optional<Usage> usage;           ///< of the sources that know theirs; nothing: none does
  Micros measured{0};                   ///< how much of the stretch the rows are about
  std::size_t sessions = 0;             ///< how many of the sources are sessions
  std::vector<RateLimitEvent> events;   ///< without the one that was asked about, newest first
};

/// An event, and what ran in the stretch before it.
struct RateLimitContext {
  RateLimitEvent event;
  WallTime since{};                  ///< not included
  WallTime until{};                  ///< that of the event
  std::vector<AgentContext> agents;  ///< who used most first, unknown last, then in the order in which they were given
};

struct ContextQuestion {
  std::span<const Agent> agents;        ///< whose ledgers are read
  std::span<const std::string> unread;  ///< for each, why its ledger is not to be read; empty: it is
  std::size_t whose = 0;                ///< the agent that had the event
  std::string event_id{};
  bool uncopied = false;  ///< also events as report_with_uncopied tells them
};

/// Reads the ledgers one after the other. Nothing: there is no such event. An Error if the ledger of the agent that had
/// the event cannot be read; of the others it is told in `unread`. Any thread that may wait.
[[nodiscard]] Result<std::optional<RateLimitContext>> rate_limit_context(LedgerStore& store,
                                                                         const ContextQuestion& question);

/// An account that events of several agents name.
struct SharedAccount {
  std::string key;
  std::vector<std::size_t> agents;  ///< as AgentContext::agent, ascending; at least two
};

/// Among the event that was asked about, which agent `whose` had, and all the others. By key.
[[nodiscard]] std::vector<SharedAccount> shared_accounts(const RateLimitContext& context, std::size_t whose);

}  // namespace fleetledger
