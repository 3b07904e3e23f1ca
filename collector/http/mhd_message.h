#pragma once

#include <string>

#include "collector/http/message.h"
#include "collector/http/server.h"

struct MHD_Connection;

namespace fleetledger {

// Between libmicrohttpd's requests and answers and ours. Everything on the loop's thread, within its callbacks.

/// What is known of a request when all of its headers are there.
struct RequestHead {
  std::string method;
  std::string target;  ///< as sent
  Request::Peer peer = Request::Peer::remote;
};

/// The answer to a request that no handler gets to see and after which the connection ends: another method, a body,
/// something too long. Nothing if there is nothing of that. Looks at the headers only, before a body is read.
[[nodiscard]] std::optional<Response> refuse_early(MHD_Connection* connection, const RequestHead& head,
                                                   const HttpOptions& options);

/// The request, or the answer that refuses it.
[[nodiscard]] tl::expected<Request, Response> read_request(MHD_Connection* connection, RequestHead head,
                                                           const HttpOptions& options);

enum class After { keep, close };

/// Hands an answer to libmicrohttpd. False if it does not take it: the connection is to be closed.
[[nodiscard]] bool queue_answer(MHD_Connection* connection, Response response, After after);

}  // namespace fleetledger
