#pragma once

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fleetledger::test {

/// A FIFO at which a script waits with `read` until the test opens it. Both of its ends are open as long as this lives,
/// so that neither side ever waits for the other to open it.
class Gate {
 public:
  explicit Gate(std::string path) : path_(std::move(path)) {
    REQUIRE(::mkfifo(path_.c_str(), 0600) == 0);
    fifo_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(fifo_ >= 0);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { ::close(fifo_); }

  [[nodiscard]] const std::string& path() const { return path_; }
  /// For one that waits, or else for the next.
  void open() { REQUIRE(::write(fifo_, "\n", 1) == 1); }

 private:
  std::string path_;
  int fifo_ = -1;
};

}  // namespace fleetledger::test
