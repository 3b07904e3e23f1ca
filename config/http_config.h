#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/units.h"

namespace fleetledger {

/// What a client may take of us. Price of each: config/fleetledger.example.yaml.
struct HttpLimits {
  std::int64_t connections = 256;
  Bytes header{std::int64_t{16} * 1024};  ///< of a request without its target
  Bytes url{std::int64_t{4} * 1024};      ///< of a request's target
  std::chrono::milliseconds idle{15'000};

  friend bool operator==(const HttpLimits&, const HttpLimits&) = default;
};

/// Whom /metrics is answered.
enum class MetricsAuth {
  operators,  ///< whoever has the operator's token
  token,      ///< besides, whoever has a token that is for this alone
  none,       ///< anybody who can connect; only where all addresses are loopback
};

struct HttpConfig {
  bool enabled = true;
  std::vector<std::string> listen{"127.0.0.1:4100"};           ///< forms: config/listen_address.h
  std::string operator_token_file = "<state>/operator.token";  ///< "~" and "<state>" not yet expanded
  MetricsAuth metrics_auth = MetricsAuth::operators;
  std::string metrics_token_file = "<state>/metrics.token";  ///< likewise
  std::int64_t metrics_sessions = 0;                         ///< so many sessions have series of their own
  std::vector<std::string> allowed_hosts;                    ///< names in `Host`, besides the loopback ones
  bool allow_remote = false;                                 ///< `listen` may have other addresses than loopback
  HttpLimits limits;

  friend bool operator==(const HttpConfig&, const HttpConfig&) = default;
};

}  // namespace fleetledger
