#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/result.h"

namespace fleetledger {

/// An inherited-by-nobody, non-blocking socket that takes connections. Goes with the object, and the file of a Unix
/// socket with it, unless another one stands in its place by then.
class Listener {
 public:
  /// `address` is "127.0.0.1:4100", "[::1]:4100" (numbers, no names; port 0 is any free one) or "unix:/absolute/path".
  /// An address that is not loopback needs `allow_remote`.
  /// A Unix socket has mode 0600, in a folder that is ours and that nobody else may write; a socket file of ours that
  /// no process listens on any more is replaced, one in use is refused. (Two that start at the same moment are not told
  /// apart: the collector's lock does that.)
  /// The error names the address, Error::Kind::busy if it is taken, else invalid or unavailable.
  [[nodiscard]] static Result<Listener> open(const std::string& address, bool allow_remote);

  ~Listener();
  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&&) = delete;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// In the form that open() takes, with the port that was found for port 0.
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  Listener() = default;
  static Result<Listener> open_unix(const std::string& address, const std::string& path);
  static Result<Listener> open_tcp(const std::string& address, bool allow_remote);

  int descriptor_ = -1;
  std::string address_;
  std::string path_;                              ///< of the Unix socket's file; empty if there is none
  std::pair<std::uint64_t, std::uint64_t> file_;  ///< its device and inode
};

}  // namespace fleetledger
