#pragma once

#include "bench/harness/spread.h"
#include "collector/api/json_writer.h"

namespace fleetledger::bench {

inline void spread_field(JsonWriter& json, const char* name, const Spread& spread) {
  json.key(name).object().field("median", spread.median);
  json.field("least", spread.least).field("greatest", spread.greatest).end();
}

}  // namespace fleetledger::bench
