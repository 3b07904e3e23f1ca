#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "config/secret.h"
#include "core/process.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

/// Whom to ask for an agent's heap.
struct HeapQuestion {
  std::string agent;  ///< its id
  ProcessKey server;  ///< the process that was accepted as its server
  Micros start_slack{};
  std::uint16_t port = 0;  ///< of its config
  Secret token;            ///< its own
  Micros time_limit = std::chrono::milliseconds{500};

  friend bool operator==(const HeapQuestion&, const HeapQuestion&) = default;
};

/// Asks the agent's server on loopback: GET /health, of which memory.heapUsed is the heap in MB (whole ones, of 1024²
/// bytes). The token is sent only to 127.0.0.1 or ::1, at that port, and only if that server or a descendant of it is
/// proven to hold the other end of the connection; otherwise nothing is sent. Blocks for the time limit at most: to be
/// called in the pool. Without an answer an Error, which never holds the token.
[[nodiscard]] Result<Bytes> ask_heap(const HeapQuestion& question);

}  // namespace fleetledger
