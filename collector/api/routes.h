#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collector/api/access.h"
#include "collector/api/api.h"

namespace fleetledger {

/// What stands for a path's segments in braces, in their order; nullptr where there is no further one.
using Variables = std::array<const std::string*, 2>;

/// A request that may be answered.
struct Call {
  const Request& request;
  const ApiState& state;
  const Access& access;
  std::size_t agent = 0;                ///< where it stands in the fleet; of routes for `agents` only
  std::optional<std::size_t> caller{};  ///< the agent whose token was sent; nothing: the operator's, or none
  Variables variables{};
};

enum class Who {
  anyone,     ///< no token
  agents,     ///< an agent's token for itself, or the operator's for any agent
  callers,    ///< either of them, each for what it may read
  operators,  ///< the operator's token
  metrics,    ///< whom http.metrics_auth says: the operator's token, besides one for this alone, or none at all
};

struct Parameter {
  std::string_view name;
  std::string_view schema;  ///< JSON
  std::string_view meaning;
};

/// One kind of request: GET, and HEAD likewise.
struct Route {
  std::string_view path;  ///< a segment in braces stands for any that is not empty
  Who who = Who::anyone;
  std::string_view summary;
  std::vector<Parameter> parameters;  ///< of the query
  std::string_view schema;            ///< of the answer, JSON; empty: it is no JSON
  Answer (*answer)(const Call&) = nullptr;

  /// Nothing if the path does not fit. Of a route for `agents` the first variable is the agent, if it has one.
  [[nodiscard]] std::optional<Variables> match(const std::vector<std::string>& segments) const;
};

/// The table: routing, /openapi.json and the README's list are made from it.
[[nodiscard]] std::span<const Route> routes();

/// The table as an OpenAPI 3.1 document.
[[nodiscard]] const std::string& openapi_json();

/// The table in Markdown, as the README shows it.
[[nodiscard]] std::string routes_markdown();

}  // namespace fleetledger
