#include "config/listen_address.h"

#include <arpa/inet.h>
#include <charconv>

#include "config/values.h"

namespace fleetledger {

Result<ListenAddress> parse_listen_address(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  const auto refuse = [&] {
    return fail(quoted(text) + R"( is no address: it is like "127.0.0.1:4100", "[::1]:4100" or "unix:/path")",
                Error::Kind::invalid);
  };
  if (text.find('\0') != std::string_view::npos) return refuse();
  if (text.starts_with(kUnix)) {
    const auto path = text.substr(kUnix.size());
    if (!path.starts_with('/') && !path.starts_with("~/") && !path.starts_with("<state>/")) return refuse();
    return ListenAddress{ListenAddress::Kind::unix_socket, std::string(path), 0, true};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse();
  const auto digits = text.substr(colon + 1);
  ListenAddress address;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (error != std::errc() || end != digits.data() + digits.size()) return refuse();
  address.place = text.substr(0, colon);
  if (address.place.size() > 2 && address.place.front() == '[' && address.place.back() == ']') {
    address.kind = ListenAddress::Kind::ipv6;
    address.place = address.place.substr(1, address.place.size() - 2);
    in6_addr number{};
    if (inet_pton(AF_INET6, address.place.c_str(), &number) != 1) return refuse();
    address.loopback = IN6_IS_ADDR_LOOPBACK(&number);
  } else {
    in_addr number{};
    if (inet_pton(AF_INET, address.place.c_str(), &number) != 1) return refuse();
    address.loopback = (ntohl(number.s_addr) >> 24U) == 127;
  }
  return address;
}

}  // namespace fleetledger
