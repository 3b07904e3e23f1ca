#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collector/http/query.h"

namespace fleetledger {

/// A checked request: GET or HEAD, without a body, to a host name that is ours. HEAD is answered like GET; the server
/// leaves the body out.
struct Request {
  enum class Peer { unix_socket, loopback, remote };  ///< `remote` only where that was allowed

  bool head = false;
  Peer peer = Peer::remote;
  std::string target;  ///< as sent, "/path?query"
  std::vector<std::string> path;
  Query query;

  // Headers. A repeated `host`, `authorization` or `x-instar-agentid` was refused; the others are joined by ", ".
  std::optional<std::string> host;
  std::optional<std::string> authorization;
  std::optional<std::string> agent_id;  ///< x-instar-agentid
  std::optional<std::string> accept;
  std::optional<std::string> if_none_match;
};

/// Bytes of an answer: its own, or shared ones that are not copied.
class Body {
 public:
  Body() = default;
  Body(std::string text) : Body(std::make_shared<const std::string>(std::move(text))) {}  // NOLINT: as one writes it
  Body(const char* text) : Body(std::string(text)) {}                                     // NOLINT: likewise
  explicit Body(std::shared_ptr<const std::string> text) : text_(*text), owner_(std::move(text)) {}
  /// Bytes that live as long as the program, such as embedded files.
  [[nodiscard]] static Body of_static(std::string_view text) {
    Body body;
    body.text_ = text;
    return body;
  }

  [[nodiscard]] std::string_view view() const { return text_; }

 private:
  std::string_view text_;
  std::shared_ptr<const std::string> owner_;
};

struct Response {
  int status = 200;
  /// No Content-Length, Date or Connection: the server's own. It adds `Cache-Control: no-store` (unless one is here)
  /// and `X-Content-Type-Options: nosniff`.
  std::vector<std::pair<std::string, std::string>> headers;
  Body body;
};

/// Takes the answer of one request, at once or later, on the loop's thread. The first answer counts, further ones are
/// ignored, and so is one whose connection has gone. When the last copy goes without an answer, it is a 500.
class Responder {
 public:
  explicit Responder(std::function<void(Response)> answer) : once_(std::make_shared<Once>(std::move(answer))) {}

  void operator()(Response response) const { once_->answer(std::move(response)); }

 private:
  class Once {
   public:
    explicit Once(std::function<void(Response)> take) : take_(std::move(take)) {}
    ~Once() { answer({.status = 500, .headers = {}, .body = Body::of_static("{\"error\":\"internal error\"}")}); }
    Once(const Once&) = delete;
    Once& operator=(const Once&) = delete;

    void answer(Response response) {
      if (const auto take = std::exchange(take_, nullptr)) take(std::move(response));
    }

   private:
    std::function<void(Response)> take_;
  };

  std::shared_ptr<Once> once_;
};

/// Must not block and not throw.
using Handler = std::function<void(const Request&, Responder)>;

}  // namespace fleetledger
