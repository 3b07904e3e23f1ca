#include "collector/heap_question.h"

#include "collector/clock.h"
#include "collector/http/client.h"
#include "collector/sources/peer_owner.h"
#include "config/health.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLargestAnswer = std::size_t{64} << 10U;

}  // namespace

Result<Bytes> ask_heap(const HeapQuestion& question) {
  const auto end = system_clock().monotonic() + question.time_limit;
  const auto prove = [&](int socket, MonotonicTime deadline) -> Result<void> {
    if (auto proven = prove_peer_owner(socket, question.server.pid, deadline); !proven) {
      return proven;
    }
    if (!is_still(question.server, question.start_slack)) {
      return fail("its server has gone");
    }
    return {};
  };
  Result<HttpAnswer> answer = fail("not asked");
  for (const auto* host : {"127.0.0.1:", "[::1]:"}) {
    answer = http_get({.address = host + std::to_string(question.port),
                       .target = "/health",
                       .headers = {{"Authorization", "Bearer " + question.token.reveal()}},
                       .largest_body = kLargestAnswer,
                       .time_limit = end - system_clock().monotonic(),
                       .before_sending = prove});
    if (answer || answer.error().kind != Error::Kind::unavailable) {
      break;
    }
  }
  if (!answer) {
    return fail(answer.error());
  }
  if (answer->status != 200) {
    return fail("it answers with status " + std::to_string(answer->status));
  }
  return parse_health(answer->body);
}

}  // namespace fleetledger
