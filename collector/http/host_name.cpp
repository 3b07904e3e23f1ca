#include "collector/http/host_name.h"

#include <algorithm>
#include <arpa/inet.h>
#include <optional>

namespace fleetledger {
namespace {

/// The name without its port; IPv6 without its brackets. Nothing if it is not of the form.
std::optional<std::string_view> without_port(std::string_view host) {
  if (host.find('\0') != std::string_view::npos) return std::nullopt;
  std::size_t end = host.find(':');
  if (host.starts_with('[')) {
    end = host.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    ++end;
  }
  const std::string_view port = end == std::string_view::npos ? "" : host.substr(end);
  if (!port.empty() && (port.front() != ':' || port.size() > 6)) return std::nullopt;
  if (!std::all_of(port.begin() + (port.empty() ? 0 : 1), port.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  return host.substr(0, end);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

bool is_loopback(std::string_view name) {
  if (same_name(name, "localhost")) return true;
  if (name.starts_with('[')) {
    in6_addr address{};
    return inet_pton(AF_INET6, std::string(name.substr(1, name.size() - 2)).c_str(), &address) == 1 &&
           IN6_IS_ADDR_LOOPBACK(&address);
  }
  in_addr address{};
  return inet_pton(AF_INET, std::string(name).c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24U) == 127;
}

}  // namespace

bool is_our_host(std::string_view host, const std::vector<std::string>& allowed) {
  const auto name = without_port(host);
  if (!name || name->empty()) return false;
  return is_loopback(*name) ||
         std::any_of(allowed.begin(), allowed.end(), [&](const std::string& ours) { return same_name(*name, ours); });
}

}  // namespace fleetledger
