#include "collector/http/client.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <span>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "collector/clock.h"
#include "collector/http/answer_reader.h"
#include "config/listen_address.h"

namespace fleetledger {
namespace {

class Connection {
 public:
  explicit Connection(MonotonicTime deadline) : deadline_(deadline) {}
  ~Connection() {
    if (socket_ >= 0) close(socket_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int socket() const { return socket_; }

  Result<void> open(const sockaddr* name, socklen_t size) {
    socket_ = ::socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) {
      return fail(std::strerror(errno));
    }
    if (connect(socket_, name, size) == 0) {
      return {};
    }
    int error = errno;
    if (error == EINPROGRESS) {
      if (auto ready = wait(POLLOUT); !ready) {
        return ready;
      }
      socklen_t length = sizeof error;
      getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error != 0) {
      return fail(error == ECONNREFUSED || error == ENOENT ? "nothing listens there" : std::strerror(error),
                  Error::Kind::unavailable);
    }
    return {};
  }

  Result<void> send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN) {
        if (auto ready = wait(POLLOUT); !ready) {
          return ready;
        }
      } else if (errno != EINTR) {
        return fail(std::strerror(errno));
      }
    }
    return {};
  }

  /// How much has come; 0 at the end.
  Result<std::size_t> receive(std::span<char> into) {
    for (;;) {
      // Also without waiting: one who sends without end must not outlast the time.
      if (auto ready = wait(POLLIN); !ready) {
        return fail(ready.error());
      }
      const auto count = ::recv(socket_, into.data(), into.size(), 0);
      if (count >= 0) {
        return static_cast<std::size_t>(count);
      }
      if (errno != EAGAIN && errno != EINTR) {
        return fail(std::strerror(errno));
      }
    }
  }

 private:
  Result<void> wait(short events) {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - system_clock().monotonic()).count();
      if (left <= 0) {
        return fail("no answer in time", Error::Kind::busy);
      }
      pollfd waited{socket_, events, 0};
      const int ready = poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
      if (ready > 0) {
        return {};
      }
      if (ready < 0 && errno != EINTR) {
        return fail(std::strerror(errno));
      }
    }
  }

  MonotonicTime deadline_;
  int socket_ = -1;
};

Result<void> open(Connection& connection, const std::string& address) {
  const auto parsed = parse_listen_address(address);
  if (!parsed) {
    return fail(parsed.error());
  }
  if (parsed->kind == ListenAddress::Kind::unix_socket) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (parsed->place.size() >= sizeof name.sun_path) {
      return fail("its path is too long", Error::Kind::invalid);
    }
    parsed->place.copy(name.sun_path, parsed->place.size());
    return connection.open(reinterpret_cast<const sockaddr*>(&name), sizeof name);
  }
  if (!parsed->loopback || parsed->port == 0) {
    return fail("it is no port on loopback", Error::Kind::invalid);
  }
  if (parsed->kind == ListenAddress::Kind::ipv4) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(parsed->port);
    inet_pton(AF_INET, parsed->place.c_str(), &name.sin_addr);
    return connection.open(reinterpret_cast<const sockaddr*>(&name), sizeof name);
  }
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(parsed->port);
  inet_pton(AF_INET6, parsed->place.c_str(), &name.sin6_addr);
  return connection.open(reinterpret_cast<const sockaddr*>(&name), sizeof name);
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7F; });
}

Result<HttpAnswer> read_answer(Connection& connection, std::size_t largest_body) {
  HttpAnswerReader reader(largest_body);
  for (;;) {
    std::array<char, 16384> block{};
    const auto count = connection.receive(block);
    if (!count) {
      return fail(count.error());
    }
    auto answer = *count > 0 ? reader.add({block.data(), *count}) : reader.end();
    if (!answer) {
      return fail(answer.error());
    }
    if (*answer) {
      return std::move(**answer);
    }
  }
}

}  // namespace

Result<HttpAnswer> http_get(const HttpGet& request) {
  std::string text = "GET " + request.target + " HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n";
  bool sendable = is_printable(request.target) && request.target.find(' ') == std::string::npos;
  for (const auto& [name, value] : request.headers) {
    sendable = sendable && is_printable(name) && is_printable(value);
    text.append(name).append(": ").append(value).append("\r\n");
  }
  if (!sendable) {
    return fail("what is to be asked does not fit into a request", Error::Kind::invalid);
  }
  const auto deadline = system_clock().monotonic() + request.time_limit;
  Connection connection(deadline);
  if (auto opened = open(connection, request.address); !opened) {
    return fail(opened.error());
  }
  if (request.before_sending) {
    if (auto agreed = request.before_sending(connection.socket(), deadline); !agreed) {
      return fail(agreed.error());
    }
  }
  if (auto sent = connection.send(text + "\r\n"); !sent) {
    return fail(sent.error());
  }
  return read_answer(connection, request.largest_body);
}

}  // namespace fleetledger
