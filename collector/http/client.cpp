#include "collector/http/client.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "collector/clock.h"
#include "config/listen_address.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLargestHead = std::size_t{16} << 10U;

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

  /// Appends what has come to `text`; false at the end.
  Result<bool> receive(std::string& text) {
    for (;;) {
      // Also without waiting: one who sends without end must not outlast the time.
      if (auto ready = wait(POLLIN); !ready) {
        return fail(ready.error());
      }
      std::array<char, 16384> block{};
      const auto count = ::recv(socket_, block.data(), block.size(), 0);
      if (count >= 0) {
        text.append(block.data(), static_cast<std::size_t>(count));
        return count > 0;
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

struct Head {
  int status = 0;
  std::optional<std::size_t> length;
};

bool same_name(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(),
                    [](char c, char wanted) { return (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == wanted; });
}

template <typename Number>
bool read_digits(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && text.front() != '-';
}

/// `lines` each end with "\r\n": "HTTP/1.x NNN ...", then "Name: value".
std::optional<Head> parse_head(std::string_view lines) {
  Head head;
  if (lines.size() < 14 || !lines.starts_with("HTTP/1.") || lines[8] != ' ' ||
      !read_digits(lines.substr(9, 3), head.status) || head.status < 100 || (lines[12] != ' ' && lines[12] != '\r')) {
    return std::nullopt;
  }
  for (lines.remove_prefix(lines.find("\r\n") + 2); !lines.empty();) {
    const auto end = lines.find("\r\n");
    const auto line = lines.substr(0, end);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) {
      return std::nullopt;
    }
    const auto name = line.substr(0, colon);
    if (same_name(name, "transfer-encoding") || same_name(name, "content-encoding")) {
      return std::nullopt;  // not asked for
    }
    if (same_name(name, "content-length")) {
      auto value = line.substr(colon + 1);
      value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
      std::size_t length = 0;
      if (head.length || value.empty() || !read_digits(value, length)) {
        return std::nullopt;
      }
      head.length = length;
    }
    lines.remove_prefix(end + 2);
  }
  return head;
}

Result<HttpAnswer> read_answer(Connection& connection, std::size_t largest_body) {
  const auto refuse = [](std::string why) { return fail(std::move(why), Error::Kind::invalid); };
  std::string text;
  std::size_t body = std::string::npos;
  std::optional<Head> head;
  for (;;) {
    const auto more = connection.receive(text);
    if (!more) {
      return fail(more.error());
    }
    if (!head) {
      const auto end = text.find("\r\n\r\n");
      if (std::min(end, text.size()) > kLargestHead) {
        return refuse("its answer's head is too long");
      }
      if (end != std::string::npos) {
        head = parse_head(std::string_view(text).substr(0, end + 2));
        if (!head) {
          return refuse("its answer is no HTTP");
        }
        body = end + 4;
      }
    }
    if (head) {
      const auto size = text.size() - body;
      if (std::max(size, head->length.value_or(0)) > largest_body) {
        return refuse("its answer is too long");
      }
      if (head->length ? size >= *head->length : !*more) {
        return HttpAnswer{head->status, text.substr(body, head->length.value_or(size))};
      }
    }
    if (!*more) {
      return refuse("its answer is cut short");
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
