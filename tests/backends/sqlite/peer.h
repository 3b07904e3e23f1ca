#pragma once

#include <csignal>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace fleetledger::test {

/// A run of ledger_peer: a process of its own, with SQLite's locks of its own. Killed at the end if it still runs.
class Peer {
 public:
  explicit Peer(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe(ends) != 0) {
      throw std::runtime_error("no pipe");
    }
    arguments.insert(arguments.begin(), LEDGER_PEER);
    std::vector<char*> raw;
    for (std::string& argument : arguments) {
      raw.push_back(argument.data());
    }
    raw.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execv(raw[0], raw.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    if (pid_ > 0) {
      kill();
    }
    ::close(output_);
  }

  /// Waits for `count` characters of its output; how many came before its end.
  int read(int count) const {
    char character = 0;
    int got = 0;
    while (got < count && ::read(output_, &character, 1) == 1) {
      ++got;
    }
    return got;
  }

  /// What waitpid says of its end; nothing while it runs.
  [[nodiscard]] bool ended(int& status) {
    if (::waitpid(pid_, &status, WNOHANG) != pid_) {
      return false;
    }
    pid_ = -1;
    return true;
  }

  /// The same, once it has ended by itself.
  [[nodiscard]] int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

}  // namespace fleetledger::test
