#include "collector/api/standing.h"

#include "collector/agent_status.h"

namespace fleetledger {

void write_standing(JsonWriter& json, const Agent& agent, const LedgerStanding* standing, WallTime now) {
  if (standing == nullptr) {
    json.null();
    return;
  }
  json.object()
      .field("place", standing->place)
      .field("centralSince", standing->central_since)
      .field("otherSamplerTs", standing->other_sampler)
      .field("meteredTwice", metered_twice(agent, *standing, now))
      .end();
}

}  // namespace fleetledger
