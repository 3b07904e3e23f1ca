#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/harness/bars.h"
#include "core/result.h"

namespace fleetledger::bench {

/// Whom to ask, and of whose ledger.
struct HttpTarget {
  std::string address;  ///< "127.0.0.1:4100"
  std::string token;    ///< the operator's
  std::string agent;    ///< name or id
  int seconds = 10;     ///< that each half takes
};

/// A histogram and its like, of what /metrics said twice: what came between.
struct TicksBetween {
  std::uint64_t ticks = 0;
  double mean_ms = 0;
  std::uint64_t skipped = 0;
};

struct HttpCost {
  double requests_per_second = 0;
  double median_ms = 0;
  double p99_ms = 0;
  std::uint64_t failed = 0;  ///< answers other than 2xx, and sockets that failed
  TicksBetween quiet;        ///< while nobody asked
  TicksBetween loaded;       ///< while wrk did
};

/// Lets `wrk` ask a collector that runs for one hour's summary, 64 connections, after an equal time without.
[[nodiscard]] Result<HttpCost> measure_http(const HttpTarget& target);

/// What `wrk --latency` prints; the ticks are left at zero.
[[nodiscard]] Result<HttpCost> parse_wrk(std::string_view output);

[[nodiscard]] std::string http_table(const HttpCost& cost);
[[nodiscard]] std::string http_json(const HttpCost& cost);
[[nodiscard]] std::vector<Bar> http_bars(const HttpCost& cost);

}  // namespace fleetledger::bench
