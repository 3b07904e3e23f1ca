#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <functional>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fleetledger::test {

/// A socket that listens and knows nothing of HTTP. Blocking; who takes connections is up to the test.
class RawServer {
 public:
  /// "127.0.0.1:0", "[::1]:0", "[::]:0" (IPv4 as well) or "unix:/path".
  explicit RawServer(const std::string& address = "127.0.0.1:0") {
    const auto port = static_cast<std::uint16_t>(
        address.starts_with("unix:") ? 0 : std::stoi(address.substr(address.rfind(':') + 1)));
    if (address.starts_with("unix:")) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      address.copy(name.sun_path, sizeof name.sun_path - 1, 5);
      listen_on(reinterpret_cast<sockaddr*>(&name), sizeof name);
      address_ = address;
    } else if (address.starts_with('[')) {
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      name.sin6_port = htons(port);
      name.sin6_addr = address.starts_with("[::]") ? in6addr_any : in6addr_loopback;
      listen_on(reinterpret_cast<sockaddr*>(&name), sizeof name);
      address_ = "[::1]:" + std::to_string(this->port());
    } else {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(port);
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      listen_on(reinterpret_cast<sockaddr*>(&name), sizeof name);
      address_ = "127.0.0.1:" + std::to_string(this->port());
    }
  }
  ~RawServer() { close(); }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  /// Where to connect to.
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_in6 name{};
    socklen_t size = sizeof name;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&name), &size);
    return ntohs(name.sin6_port);  // it stands at the same place for IPv4
  }
  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] int accept() const { return ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC); }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

 private:
  void listen_on(const sockaddr* name, socklen_t size) {
    socket_ = ::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket_, name, size) != 0 || ::listen(socket_, 16) != 0) throw std::runtime_error("cannot listen");
  }

  int socket_ = -1;
  std::string address_;
};

/// Sends all of it; false if the other side has gone.
inline bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// What comes until the request's empty line, or until the other side has gone.
inline std::string receive_request(int socket) {
  std::string text;
  char byte = 0;
  while (!text.ends_with("\r\n\r\n") && ::recv(socket, &byte, 1, 0) == 1) text += byte;
  return text;
}

}  // namespace fleetledger::test
