#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetledger {

/// One address to listen on, as it is written: "127.0.0.1:4100", "[::1]:4100" (numbers, no names; port 0 is any free
/// one) or "unix:" and a path.
struct ListenAddress {
  enum class Kind { unix_socket, ipv4, ipv6 };

  Kind kind = Kind::ipv4;
  std::string place;  ///< the number without brackets, or the path as it is written
  std::uint16_t port = 0;
  bool loopback = false;  ///< only this host can reach it

  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

/// Error::Kind::invalid if it is none of them.
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace fleetledger
