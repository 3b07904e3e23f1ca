#include "collector/heap_question.h"

#include <cmath>

#include "collector/clock.h"
#include "collector/http/client.h"
#include "collector/sources/peer_owner.h"
#include "config/json.h"

namespace fleetledger {
namespace {

constexpr Micros kTimeLimit = std::chrono::milliseconds{500};
constexpr std::size_t kLargestAnswer = std::size_t{64} << 10U;

Result<Bytes> read_health(const HttpAnswer& answer) {
  if (answer.status != 200) {
    return fail("it answers with status " + std::to_string(answer.status));
  }
  const auto health = JsonDocument::parse(answer.body);
  if (!health) {
    return fail(health.error());
  }
  constexpr double kMost = 1 << 24U;  // 16 TiB
  const auto megabytes = health->root().member("memory").member("heapUsed").number();
  if (!megabytes || !(*megabytes >= 0 && *megabytes <= kMost)) {
    return fail("its answer says nothing of its heap");
  }
  return Bytes{std::llround(*megabytes * 1024 * 1024)};
}

}  // namespace

Result<Bytes> ask_heap(const HeapQuestion& question) {
  const auto end = system_clock().monotonic() + kTimeLimit;
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
  return answer ? read_health(*answer) : fail(answer.error());
}

}  // namespace fleetledger
