#include "collector/http/mhd_message.h"

#include <algorithm>
#include <memory>
#include <microhttpd.h>
#include <string_view>
#include <strings.h>

#include "collector/http/host_name.h"

namespace fleetledger {
namespace {

Response refusal(int status, const std::string& error) {
  // The texts are our own: nothing in them needs escaping.
  return {.status = status,
          .headers = {{"Content-Type", "application/json; charset=utf-8"}},
          .body = "{\"error\":\"" + error + "\"}"};
}

bool is_named(std::string_view name, std::string_view wanted) {
  return name.size() == wanted.size() && ::strncasecmp(name.data(), wanted.data(), name.size()) == 0;
}

struct Headers {
  std::optional<std::string> host, authorization, agent_id, accept, if_none_match;
  bool has_body = false;
  const char* problem = nullptr;  ///< why the request is malformed

  void add(std::string_view name, std::string_view value) {
    if (std::any_of(value.begin(), value.end(), [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; })) {
      problem = "control character in a header";
    } else if (is_named(name, "host")) {
      add_once(host, value);
    } else if (is_named(name, "authorization")) {
      add_once(authorization, value);
    } else if (is_named(name, "x-instar-agentid")) {
      add_once(agent_id, value);
    } else if (is_named(name, "accept")) {
      join(accept, value);
    } else if (is_named(name, "if-none-match")) {
      join(if_none_match, value);
    } else if (is_named(name, "content-length")) {
      has_body = has_body || value.find_first_not_of('0') != std::string_view::npos;
    } else if (is_named(name, "transfer-encoding")) {
      has_body = true;
    }
  }

 private:
  void add_once(std::optional<std::string>& field, std::string_view value) {
    if (field) problem = "header given twice";
    field = value;
  }
  static void join(std::optional<std::string>& field, std::string_view value) {
    field = field ? *field + ", " + std::string(value) : std::string(value);
  }
};

Headers headers_of(MHD_Connection* connection) {
  Headers headers;
  MHD_get_connection_values_n(
      connection, MHD_HEADER_KIND,
      [](void* into, MHD_ValueKind, const char* name, std::size_t name_size, const char* value,
         std::size_t value_size) -> MHD_Result {
        static_cast<Headers*>(into)->add({name, name_size},
                                         value == nullptr ? "" : std::string_view(value, value_size));
        return MHD_YES;
      },
      &headers);
  return headers;
}

std::size_t head_size(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info == nullptr ? 0 : info->header_size;
}

bool has_header(const Response& response, std::string_view name) {
  return std::any_of(response.headers.begin(), response.headers.end(),
                     [&](const auto& header) { return is_named(header.first, name); });
}

struct DestroyResponse {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using MhdResponse = std::unique_ptr<MHD_Response, DestroyResponse>;

/// nullptr if a header is not one, or memory is short.
MhdResponse to_mhd(Response response, After after) {
  auto body = std::make_unique<Body>(std::move(response.body));
  const std::string_view bytes = body->view();
  MhdResponse made(MHD_create_response_from_buffer_with_free_callback_cls(
      bytes.size(), const_cast<char*>(bytes.data()), [](void* sent) { delete static_cast<Body*>(sent); }, body.get()));
  if (!made) return nullptr;
  static_cast<void>(body.release());  // the callback deletes it

  const auto add = [&](const char* name, const char* value) {
    return MHD_add_response_header(made.get(), name, value) == MHD_YES;
  };
  bool ok = add("X-Content-Type-Options", "nosniff");
  if (!has_header(response, "cache-control")) ok = add("Cache-Control", "no-store") && ok;
  if (after == After::close) ok = add("Connection", "close") && ok;
  for (const auto& [name, value] : response.headers) ok = add(name.c_str(), value.c_str()) && ok;
  return ok ? std::move(made) : nullptr;
}

}  // namespace

std::optional<Response> refuse_early(MHD_Connection* connection, const RequestHead& head, const HttpOptions& options) {
  if (head.method != "GET" && head.method != "HEAD") {
    Response response = refusal(405, "method not allowed");
    response.headers.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  if (headers_of(connection).has_body) return refusal(413, "requests have no body here");
  if (head.target.size() > options.url_bytes) return refusal(414, "request target too long");
  if (head_size(connection) > options.header_bytes + head.target.size()) return refusal(431, "headers too large");
  return std::nullopt;
}

tl::expected<Request, Response> read_request(MHD_Connection* connection, RequestHead head, const HttpOptions& options) {
  Headers headers = headers_of(connection);
  if (headers.problem != nullptr) return tl::unexpected(refusal(400, headers.problem));
  if (head.peer != Request::Peer::unix_socket) {
    if (!headers.host) return tl::unexpected(refusal(400, "Host header missing"));
    if (!is_our_host(*headers.host, options.allowed_hosts)) return tl::unexpected(refusal(421, "unknown host name"));
  }
  auto target = parse_target(head.target);
  if (!target) return tl::unexpected(refusal(400, target.error().text));

  return Request{.head = head.method == "HEAD",
                 .peer = head.peer,
                 .target = std::move(head.target),
                 .path = std::move(target->path),
                 .query = std::move(target->query),
                 .host = std::move(headers.host),
                 .authorization = std::move(headers.authorization),
                 .agent_id = std::move(headers.agent_id),
                 .accept = std::move(headers.accept),
                 .if_none_match = std::move(headers.if_none_match)};
}

bool queue_answer(MHD_Connection* connection, Response response, After after) {
  const auto status = static_cast<unsigned>(response.status);
  if (const auto made = to_mhd(std::move(response), after)) {
    return MHD_queue_response(connection, status, made.get()) == MHD_YES;
  }
  const auto failed = to_mhd(refusal(500, "internal error"), After::close);
  return failed && MHD_queue_response(connection, 500, failed.get()) == MHD_YES;
}

}  // namespace fleetledger
