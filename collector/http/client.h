#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "collector/http/answer_reader.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

struct HttpGet {
  std::string address;  ///< as one listens: "127.0.0.1:4100", "[::1]:4100" or "unix:/path"
  std::string target;   ///< path and query
  std::vector<std::pair<std::string, std::string>> headers;  ///< besides Host and Connection
  std::size_t largest_body = std::size_t{1} << 20U;
  Micros time_limit = std::chrono::seconds{1};  ///< for all of it
  /// Called on the connected socket before a byte is sent; after an Error none is. May be empty.
  std::function<Result<void>(int socket, MonotonicTime deadline)> before_sending;
};

/// Asks a server on this host, and blocks until it has answered: to be called in the pool, or by a command. What comes
/// back is foreign: its size and time are limited, and what is no whole answer is an Error, Kind::invalid. Kind::
/// unavailable: nobody listens there.
///
/// A client of our own because libcurl is linked to some thirty libraries, whose memory a meter would hold all day for
/// one GET a minute. It speaks HTTP/1.0, so that no server answers in chunks, and to loopback and Unix sockets alone.
[[nodiscard]] Result<HttpAnswer> http_get(const HttpGet& request);

}  // namespace fleetledger
