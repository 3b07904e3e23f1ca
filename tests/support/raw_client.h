#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cerrno>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/loop/handle.h"

namespace fleetledger::test {

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

/// Sends bytes to a server on the same loop, sees the bytes that come back, and knows nothing else of HTTP than where
/// an answer ends.
class RawClient {
 public:
  /// `address` as in HttpServer::bound_addresses().
  RawClient(uv_loop_t* loop, const std::string& address) {
    connect(address);
    poll_ = make_handle<uv_poll_t>([&](uv_poll_t* handle) { return uv_poll_init(loop, handle, socket_); });
    poll_->data = this;
    watch();
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void send(std::string_view bytes) {
    to_send_ += bytes;
    watch();
  }
  /// Sends nothing after what was given to send(), and says so.
  void finish() {
    finishing_ = true;
    watch();
  }
  /// Leaves what comes from now on in the socket.
  void stop_reading() {
    reading_ = false;
    watch();
  }
  void close() {
    poll_.reset();
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }

  [[nodiscard]] const std::string& received() const { return received_; }
  /// The server has closed the connection.
  [[nodiscard]] bool ended() const { return ended_; }
  /// All was sent, as far as the system's buffers go.
  [[nodiscard]] bool sent() const { return to_send_.empty(); }

  /// Takes one whole answer off what was received. After a HEAD no body follows.
  std::optional<Reply> take_reply(bool head = false) {
    const std::size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return std::nullopt;
    Reply reply;
    const std::string lines = received_.substr(0, end + 2);
    reply.status = std::stoi(lines.substr(lines.find(' ')));
    for (std::size_t at = lines.find("\r\n") + 2; at < lines.size();) {
      const std::size_t stop = lines.find("\r\n", at);
      const std::size_t colon = lines.find(':', at);
      std::string name = lines.substr(at, colon - at);
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
      reply.headers[name] = lines.substr(colon + 2, stop - colon - 2);
      at = stop + 2;
    }
    const auto length = reply.headers.find("content-length");
    const std::size_t body = head || length == reply.headers.end() ? 0 : std::stoul(length->second);
    if (received_.size() < end + 4 + body) return std::nullopt;
    reply.body = received_.substr(end + 4, body);
    received_.erase(0, end + 4 + body);
    return reply;
  }

 private:
  void connect(const std::string& address) {
    int done = -1;
    if (address.starts_with("unix:")) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      address.copy(name.sun_path, sizeof name.sun_path - 1, 5);
      socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      done = ::connect(socket_, reinterpret_cast<sockaddr*>(&name), sizeof name);
    } else {
      const std::size_t colon = address.rfind(':');
      const auto port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
      const bool v6 = address.starts_with('[');
      socket_ = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (v6) {
        sockaddr_in6 name{};
        name.sin6_family = AF_INET6;
        name.sin6_port = port;
        name.sin6_addr = in6addr_loopback;
        done = ::connect(socket_, reinterpret_cast<sockaddr*>(&name), sizeof name);
      } else {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = port;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        done = ::connect(socket_, reinterpret_cast<sockaddr*>(&name), sizeof name);
      }
    }
    if (done != 0 && errno != EINPROGRESS) throw std::runtime_error("cannot connect to " + address);
  }

  void watch() {
    if (ended_ || !poll_) return;
    const int events = (reading_ ? UV_READABLE : 0) | (to_send_.empty() && !finishing_ ? 0 : UV_WRITABLE);
    if (events == 0) {
      uv_poll_stop(poll_.get());
      return;
    }
    uv_poll_start(poll_.get(), events, [](uv_poll_t* handle, int, int seen) {
      auto* client = static_cast<RawClient*>(handle->data);
      if ((seen & UV_WRITABLE) != 0) client->write_some();
      // An error shows as readable; what had come before it is still read.
      if (client->reading_) client->read_some();
      client->watch();
    });
  }
  void write_some() {
    const ssize_t count = ::send(socket_, to_send_.data(), to_send_.size(), MSG_NOSIGNAL);
    if (count > 0) to_send_.erase(0, static_cast<std::size_t>(count));
    if (count < 0 && errno != EAGAIN) to_send_.clear();
    if (to_send_.empty() && std::exchange(finishing_, false)) ::shutdown(socket_, SHUT_WR);
  }
  void read_some() {
    char buffer[16384];
    ssize_t count = 0;
    while ((count = ::recv(socket_, buffer, sizeof buffer, 0)) > 0) {
      received_.append(buffer, static_cast<std::size_t>(count));
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
      ended_ = true;
      uv_poll_stop(poll_.get());
    }
  }

  int socket_ = -1;
  UvHandle<uv_poll_t> poll_;
  std::string to_send_;
  std::string received_;
  bool reading_ = true;
  bool finishing_ = false;
  bool ended_ = false;
};

}  // namespace fleetledger::test
