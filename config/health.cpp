#include "config/health.h"

#include <cmath>

#include "config/json.h"

namespace fleetledger {

Result<Bytes> parse_health(std::string_view body) {
  const auto health = JsonDocument::parse(body);
  if (!health) return fail(health.error());
  constexpr double kMost = 1 << 24U;  // 16 TiB
  const auto megabytes = health->root().member("memory").member("heapUsed").number();
  if (!megabytes || !(*megabytes >= 0 && *megabytes <= kMost)) {
    return fail("its answer says nothing of its heap", Error::Kind::invalid);
  }
  return Bytes{std::llround(*megabytes * 1024 * 1024)};
}

}  // namespace fleetledger
