#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/http/message.h"
#include "core/result.h"

struct uv_loop_s;

namespace fleetledger {

struct HttpOptions {
  std::vector<std::string> listen{"127.0.0.1:4100"};  ///< forms: Listener::open
  std::vector<std::string> allowed_hosts;             ///< names in `Host`, without a port, besides the loopback ones
  bool allow_remote = false;                          ///< take addresses that other hosts can reach
  std::size_t connections = 256;                      ///< over all addresses
  std::size_t header_bytes = 16 * 1024;               ///< of a request without its target
  std::size_t url_bytes = 4 * 1024;                   ///< of a request's target
  /// A connection on which no whole request came for this long is closed, however busily it sends; so is one whose
  /// client takes nothing of its answer for this long (in whole seconds, rounded up).
  std::chrono::milliseconds idle{15'000};
};

/// An HTTP/1.1 server on a loop. It knows the protocol and its limits, and nothing of what is served.
///
/// What the handler does not get to see: methods other than GET and HEAD (405), bodies (413, unread), targets and
/// headers that are too long (414, 431), malformed ones (400), and, but on a Unix socket, a `Host` that is not ours
/// (421). These answers are JSON, {"error": text}.
///
/// What libmicrohttpd itself cannot read, it refuses itself: with a short HTML text (400, 414, 431, 505) that lacks the
/// headers of our own answers, or without a word. A query of hundreds of parameters exhausts the connection's memory
/// and is left until the idle time, and so is half a request that came together with the client's end of sending. A raw
/// NUL ends a target or a header's value.
///
/// When all connections are taken, a new one takes the place of the one that has longest sent no whole request, or else
/// of the one that has longest not taken its answer; those that wait for the handler are left alone. Half of the room
/// is for connections on which a request was answered well (status below 400), half for those on which none was yet: so
/// neither idle connections nor floods of slow clients keep others out. A connection has some 40 KiB at most, and its
/// answer.
///
/// All on the loop's thread. The loop outlives the server and runs on until its handles are closed.
class HttpServer {
 public:
  /// Listens on all addresses, or on none and says why.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> start(uv_loop_s* loop, HttpOptions options, Handler handler);

  ~HttpServer();  ///< Stops. Not from within the handler.
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Ends at once: the addresses first, then all connections, answered or not. Answers that come later are dropped.
  /// Not from within the handler.
  void stop();

  /// Where it listens, in the order and the form of the options, with real ports.
  [[nodiscard]] std::vector<std::string> bound_addresses() const;
  /// Inodes of the TCP sockets among them, by which /proc/net/tcp names them.
  [[nodiscard]] std::vector<std::uint64_t> bound_sockets() const;
  /// Connections at the moment.
  [[nodiscard]] std::size_t connections() const;

 private:
  class Impl;

  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
