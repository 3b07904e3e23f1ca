#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fleetledger {

/// Whether a `Host` header names this server: a loopback name (localhost, 127.0.0.0/8, [::1]), with or without a port,
/// or one of `allowed`, which are names without a port, in any case. A page of another site that makes a browser
/// connect to us by a name of its own is told apart by this.
[[nodiscard]] bool is_our_host(std::string_view host, const std::vector<std::string>& allowed);

}  // namespace fleetledger
