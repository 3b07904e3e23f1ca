#pragma once

#include <array>
#include <cstddef>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "tests/support/program.h"

namespace fleetledger::test {

/// What a service manager listens on for how its services are. `name`: a path, or "@" and a name in the abstract
/// namespace: what NOTIFY_SOCKET says.
class NotifySocket {
 public:
  explicit NotifySocket(std::string name)
      : name_(std::move(name)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, sizeof address.sun_path);
    if (name_.front() == '@') {
      address.sun_path[0] = '\0';
    }
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) != 0) {
      throw std::runtime_error("cannot listen on " + name_);
    }
  }
  ~NotifySocket() { ::close(socket_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }

  /// All messages that have come so far, in their order.
  const std::vector<std::string>& messages() {
    std::array<char, 4096> text{};
    for (;;) {
      const auto size = ::recv(socket_, text.data(), text.size(), MSG_DONTWAIT);
      if (size < 0) {
        return messages_;
      }
      messages_.emplace_back(text.data(), static_cast<std::size_t>(size));
    }
  }

  /// How many of the messages that have come begin so.
  std::size_t count(const std::string& beginning) {
    std::size_t found = 0;
    for (const auto& message : messages()) {
      found += message.starts_with(beginning) ? 1 : 0;
    }
    return found;
  }

  /// Waits until `times` messages that begin so have come.
  bool comes(const std::string& beginning, std::size_t times = 1) {
    return await([&] { return count(beginning) >= times; });
  }

 private:
  std::string name_;
  int socket_;
  std::vector<std::string> messages_;
};

}  // namespace fleetledger::test
