#include "collector/http/listener.h"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace fleetledger {
namespace {

/// Many more than are served at a time: whom the kernel turns away here tries again after a second, so that a flood
/// would keep honest clients waiting. The kernel has a limit of its own (net.core.somaxconn).
constexpr int kBacklog = 4096;
constexpr std::string_view kUnixPrefix = "unix:";

tl::unexpected<Error> cannot(const std::string& address, const std::string& why,
                             Error::Kind kind = Error::Kind::unavailable) {
  return fail("listen on " + address + ": " + why, kind);
}

int open_socket(int family) { return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

std::pair<std::uint64_t, std::uint64_t> file_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }

struct TcpAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool loopback = false;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  sockaddr_in& v4() { return reinterpret_cast<sockaddr_in&>(storage); }
  sockaddr_in6& v6() { return reinterpret_cast<sockaddr_in6&>(storage); }
};

std::optional<TcpAddress> parse_tcp(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || text.find('\0') != std::string::npos) return std::nullopt;
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end) return std::nullopt;

  const std::string host = text.substr(0, colon);
  TcpAddress address;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &address.v6().sin6_addr) != 1) return std::nullopt;
    address.v6().sin6_family = AF_INET6;
    address.v6().sin6_port = htons(port);
    address.size = sizeof(sockaddr_in6);
    address.loopback = IN6_IS_ADDR_LOOPBACK(&address.v6().sin6_addr);
  } else {
    if (inet_pton(AF_INET, host.c_str(), &address.v4().sin_addr) != 1) return std::nullopt;
    address.v4().sin_family = AF_INET;
    address.v4().sin_port = htons(port);
    address.size = sizeof(sockaddr_in);
    address.loopback = (ntohl(address.v4().sin_addr.s_addr) >> 24U) == 127;
  }
  return address;
}

/// Whether a process still takes connections at this socket file.
bool is_live(const sockaddr_un& name) {
  const int probe = open_socket(AF_UNIX);
  if (probe < 0) return true;
  const bool refused =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  return !refused;
}

}  // namespace

Result<Listener> Listener::open(const std::string& address, bool allow_remote) {
  if (address.starts_with(kUnixPrefix)) return open_unix(address, address.substr(kUnixPrefix.size()));
  return open_tcp(address, allow_remote);
}

Result<Listener> Listener::open_tcp(const std::string& address, bool allow_remote) {
  auto wanted = parse_tcp(address);
  if (!wanted) {
    return cannot(address, R"(not an address like "127.0.0.1:4100", "[::1]:4100" or "unix:/path/of/socket")",
                  Error::Kind::invalid);
  }
  if (!wanted->loopback && !allow_remote) {
    return cannot(address, "it can be reached from other hosts, which is not allowed by the configuration",
                  Error::Kind::invalid);
  }
  const int family = wanted->storage.ss_family;
  const std::string port = address.substr(address.rfind(':') + 1);

  Listener made;
  made.descriptor_ = open_socket(family);
  if (made.descriptor_ < 0) return cannot(address, std::strerror(errno));
  const int on = 1;
  ::setsockopt(made.descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(made.descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(made.descriptor_, wanted->get(), wanted->size) != 0 || ::listen(made.descriptor_, kBacklog) != 0) {
    if (errno == EADDRINUSE) {
      return cannot(address, "port " + port + " is taken by another program", Error::Kind::busy);
    }
    return cannot(address, std::strerror(errno));
  }
  ::getsockname(made.descriptor_, wanted->get(), &wanted->size);
  const std::uint16_t bound = ntohs(family == AF_INET6 ? wanted->v6().sin6_port : wanted->v4().sin_port);
  made.address_ = address.substr(0, address.size() - port.size()) + std::to_string(bound);
  return made;
}

Result<Listener> Listener::open_unix(const std::string& address, const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (!path.starts_with('/') || path.ends_with('/') || path.find('\0') != std::string::npos) {
    return cannot(address, "not the absolute path of a socket", Error::Kind::invalid);
  }
  if (path.size() >= sizeof name.sun_path) {
    return cannot(address, "the path is longer than " + std::to_string(sizeof name.sun_path - 1) + " bytes",
                  Error::Kind::invalid);
  }
  path.copy(name.sun_path, path.size());

  const std::string folder = path.substr(0, path.rfind('/') + 1);
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return cannot(address, "its folder: " + std::string(std::strerror(errno)));
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return cannot(address, "its folder must belong to this user, and nobody else may write it");
  }
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return cannot(address, "something that is not a socket has this name");
    if (status.st_uid != ::geteuid()) return cannot(address, "a socket of another user has this name");
    if (is_live(name)) return cannot(address, "another program listens there", Error::Kind::busy);
    if (::unlink(path.c_str()) != 0)
      return cannot(address, "remove what is left of it: " + std::string(std::strerror(errno)));
  }

  Listener made;
  made.descriptor_ = open_socket(AF_UNIX);
  if (made.descriptor_ < 0) return cannot(address, std::strerror(errno));
#ifdef __linux__
  // The file is made with the socket's own mode: so none of its name need be changed afterwards.
  ::fchmod(made.descriptor_, S_IRUSR | S_IWUSR);
#endif
  if (::bind(made.descriptor_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return cannot(address, std::strerror(errno), errno == EADDRINUSE ? Error::Kind::busy : Error::Kind::unavailable);
  }
  made.path_ = path;
  made.address_ = address;
#ifndef __linux__
  // Nobody can connect before listen(), whatever the mode was until now.
  if (::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) return cannot(address, std::strerror(errno));
#endif
  if (::lstat(path.c_str(), &status) != 0) return cannot(address, std::strerror(errno));
  if (!S_ISSOCK(status.st_mode) || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return cannot(address, "its file was exchanged meanwhile, or others may use it");
  }
  made.file_ = file_of(status);
  if (::listen(made.descriptor_, kBacklog) != 0) return cannot(address, std::strerror(errno));
  return made;
}

Listener::Listener(Listener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      address_(std::move(other.address_)),
      path_(std::exchange(other.path_, {})),
      file_(std::exchange(other.file_, {})) {}

Listener::~Listener() {
  struct stat status {};
  if (!path_.empty() && ::lstat(path_.c_str(), &status) == 0 && file_of(status) == file_) ::unlink(path_.c_str());
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace fleetledger
