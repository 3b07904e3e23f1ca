#include <cstdio>

#include "backends/backends.h"
#include "collector/api/json_writer.h"
#include "collector/commands/commands.h"

namespace fleetledger {

int version_command(const CommonArguments& common) {
  if (common.json) {
    JsonWriter json;
    json.object().field("version", FLEETLEDGER_VERSION).key("backends").array();
    for (const auto& backend : backends()) {
      json.value(backend.name);
    }
    std::printf("%s\n", json.end().end().take().c_str());
  } else {
    std::printf("fleetledger %s\n", FLEETLEDGER_VERSION);
  }
  return kExitOk;
}

}  // namespace fleetledger
