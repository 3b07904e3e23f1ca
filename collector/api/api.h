#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "collector/api/access.h"
#include "collector/configuration_standing.h"
#include "collector/explanation.h"
#include "collector/http/message.h"
#include "collector/metrics_view.h"
#include "collector/snapshot.h"
#include "config/secret.h"
#include "core/ledger_store.h"

namespace fleetledger {

/// What answers are made from besides the ledgers.
struct ApiState {
  std::shared_ptr<const Fleet> fleet;
  std::shared_ptr<const Snapshot> snapshot;
  std::function<AgentStatus(const Agent&)> status_of;      ///< called before answer() returns, not later
  std::function<MetricsView()> metrics;                    ///< likewise
  std::function<std::optional<Explanation>(Pid)> explain;  ///< likewise
  std::optional<ConfigurationStanding> configuration;      ///< nothing where none is kept in force: own looks
  Bytes own_resident;                                      ///< the collector's memory
  WallTime now{};
};

/// The rest of an answer that has to read ledgers: to be called once, on a thread that may wait. Refers to nothing but
/// the store.
class StoreRead {
 public:
  static constexpr const char* kAllLedgers = "*";

  /// `whose`: the agent, by its id, whose ledger is read; kAllLedgers; or empty: none is.
  explicit StoreRead(std::function<Response(LedgerStore&)> read, std::string whose = {})
      : read_(std::move(read)), whose_(std::move(whose)) {}

  [[nodiscard]] Response operator()(LedgerStore& store) const { return read_(store); }
  [[nodiscard]] const std::string& whose() const { return whose_; }

 private:
  std::function<Response(LedgerStore&)> read_;
  std::string whose_;
};

using Answer = std::variant<Response, StoreRead>;

/// Requests in, answers out: who may, what is asked for (the table in routes.h), and what the answer is. No loop, no
/// sockets, no clock. One thread.
class Api {
 public:
  explicit Api(ApiKeys keys) : keys_(std::move(keys)) {}

  [[nodiscard]] Answer answer(const Request& request, const ApiState& state);

 private:
  ApiKeys keys_;
  std::shared_ptr<const Access> access_;  ///< made from the fleet of the last request
};

/// The body of /fleet/now: `top` shows the same without a server.
[[nodiscard]] std::string fleet_now_json(const ApiState& state);

/// The body of /processes/{pid}, likewise for `explain`.
[[nodiscard]] std::string explanation_json(const Explanation& explanation);

}  // namespace fleetledger
