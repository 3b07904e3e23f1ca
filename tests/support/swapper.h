#pragma once

#include <atomic>
#include <cstdio>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace fleetledger::test {

/// Exchanges what two names stand for, again and again and in one step each time, until it goes; then each stands for
/// what it stood for at first.
class Swapper {
 public:
  Swapper(std::string one, std::string other) : one_(std::move(one)), other_(std::move(other)) {
    exchange();
    exchange();
    thread_ = std::thread([this] {
      do {
        exchange();
        ++swaps_;
      } while (!stop_ || swaps_ % 2 != 0);
    });
  }
  ~Swapper() {
    stop_ = true;
    thread_.join();
  }
  Swapper(const Swapper&) = delete;
  Swapper& operator=(const Swapper&) = delete;

  [[nodiscard]] unsigned long swaps() const { return swaps_; }

 private:
  void exchange() {
    if (::renameat2(AT_FDCWD, one_.c_str(), AT_FDCWD, other_.c_str(), RENAME_EXCHANGE) != 0) {
      throw std::runtime_error("cannot exchange " + one_ + " and " + other_);
    }
  }

  std::string one_;
  std::string other_;
  std::atomic<bool> stop_ = false;
  std::atomic<unsigned long> swaps_ = 0;
  std::thread thread_;
};

}  // namespace fleetledger::test
