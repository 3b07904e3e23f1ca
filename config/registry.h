#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/process.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

/// What a registry says of one agent. Foreign text throughout.
struct RegistryEntry {
  std::string path;                        ///< absolute, as it stands there
  std::string name;                        ///< not empty: where the registry has none, the last part of the path
  std::optional<Pid> pid;                  ///< its server's, if it says that one runs
  std::optional<WallTime> last_heartbeat;  ///< when that server was last heard of
};

struct Registry {
  std::vector<RegistryEntry> entries;  ///< as they stand there; one path may occur several times
  std::vector<std::string> remarks;    ///< what was left out, and why
};

/// ~/.instar/registry.json. An entry that makes no sense is left out with a remark; a text that is no registry at all
/// is an Error that says why ("it is not JSON: …").
[[nodiscard]] Result<Registry> parse_registry(std::string_view text);

/// ~/.instar/port-registry.json of former versions; likewise.
[[nodiscard]] Result<Registry> parse_port_registry(std::string_view text);

}  // namespace fleetledger
