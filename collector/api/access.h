#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/discovery/discovery.h"
#include "collector/http/message.h"
#include "config/secret.h"

namespace fleetledger {

// Who is calling, and which agent is meant.
//
// An agent's own server checks `X-Instar-AgentId` before the token: it is one agent, so it may say which. Here many
// agents share an address and only the token tells whose server a caller believes to talk to. Before a token is known
// there is nothing that the header could disagree with, and an answer that depended on it would tell anybody which
// names exist. So: without a known token it is 401 or 403, whatever the header and the path say; with an agent's token
// the header is checked first of all, and "expected" names the caller's own agent. A caller sees the answers of its
// agent's own server in every case but one: a wrong header without a right token is 401 or "Invalid auth token" here.
// For the same reason an agent that asks for another one, or for what is the operator's, gets the answer of a wrong
// token, whether there is such an agent or not. Only the operator is told 404, or 409 with the ids of a name.

/// The tokens that do not belong to agents. An empty one lets nobody in.
struct ApiKeys {
  Secret operators;
  Secret metrics;                   ///< reads /metrics, nothing else
  bool metrics_for_anyone = false;  ///< /metrics needs no token
};

/// Who sent a token that is known.
struct Caller {
  std::optional<std::size_t> agent;  ///< where it stands in fleet.agents; nothing: the operator
};

/// The tokens of one fleet, as its files say now. Immutable; any thread.
class Access {
 public:
  static constexpr std::size_t kShortestToken = 16;  ///< bytes; a shorter one can be guessed
  static constexpr std::size_t kLongestToken = 256;  ///< bounds what comparing with all of them costs

  Access(const ApiKeys& keys, std::shared_ptr<const Fleet> fleet);

  /// The caller, or 401 or 403. Compares with every token there is, in a time that says nothing of any of them.
  [[nodiscard]] tl::expected<Caller, Response> caller_of(const Request& request) const;

  /// Nothing if /metrics may be answered; or 401 or 403.
  [[nodiscard]] std::optional<Response> refuse_metrics(const Request& request) const;

  /// The agent that a request to /resources/... is about (`wanted` is nullptr) or one to /agents/{id}/..., by its id,
  /// or by a name that only one agent has. Otherwise 400, 403, 404 or 409.
  [[nodiscard]] tl::expected<std::size_t, Response> agent_of(const Caller& caller, const Request& request,
                                                             const std::string* wanted) const;

  /// Why an agent (by its place in fleet.agents) cannot be read with a token of its own; empty if it can.
  [[nodiscard]] std::string_view refusal(std::size_t agent) const { return refusals_[agent]; }

  [[nodiscard]] const Fleet& fleet() const { return *fleet_; }

 private:
  [[nodiscard]] bool is_called(std::size_t agent, std::string_view name) const;

  std::shared_ptr<const Fleet> fleet_;
  ApiKeys keys_;
  std::vector<std::string_view> refusals_;  ///< one for each agent
};

/// What a caller gets whose token does not count for what it asks for.
[[nodiscard]] Response wrong_token();

/// Why an agent's token cannot be used, before it is compared with others; empty if it can.
[[nodiscard]] std::string_view weakness(const AgentToken& token);

}  // namespace fleetledger
