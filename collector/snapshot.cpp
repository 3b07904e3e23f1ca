#include "collector/snapshot.h"

#include "core/sample.h"

namespace fleetledger {

std::string_view to_string(Role role) {
  constexpr std::array<std::string_view, kRoles> kWords{"server", "sessions", "orphans"};
  return kWords.at(static_cast<std::size_t>(role));
}

Role role_of(std::string_view source) {
  if (source == kServerSource) {
    return Role::server;
  }
  return source == kOrphansSource ? Role::orphans : Role::sessions;
}

}  // namespace fleetledger
