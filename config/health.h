#pragma once

#include <string_view>

#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

/// The heap that an agent's server says it uses: the body of its GET /health, `memory.heapUsed`, in MiB.
/// An Error that says why where the body has no such number, or one that no heap can have: 0 to 16 TiB.
[[nodiscard]] Result<Bytes> parse_health(std::string_view body);

}  // namespace fleetledger
