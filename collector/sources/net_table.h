#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fleetledger {

/// One line of /proc/net/tcp or tcp6 (proc_pid_net(5)), as far as we use it. Refers to the line.
struct NetSocket {
  std::string_view local;   ///< address and port in hexadecimal, as the kernel writes them: "0100007F:1004"
  std::string_view remote;  ///< likewise
  std::string_view state;   ///< likewise: "0A" listens
  std::uint32_t owner = 0;
  std::uint64_t inode = 0;  ///< 0: nobody has accepted it yet
};

/// Reads the line; nothing if it is not such a line: the table's heading is none. Pure, no allocation.
[[nodiscard]] std::optional<NetSocket> parse_net_socket(std::string_view line);

}  // namespace fleetledger
