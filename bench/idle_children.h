#pragma once

#include <csignal>
#include <cstddef>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace fleetledger::bench {

/// So many children that do nothing, ended with this object, or with this process however it ends (Linux). Fewer where
/// the system gives no more.
class IdleChildren {
 public:
  explicit IdleChildren(std::size_t count) {
    const auto parent = getpid();
    for (std::size_t i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == parent) pause();
        _exit(0);
      }
      if (child > 0) pids_.push_back(child);
    }
  }
  ~IdleChildren() {
    for (const auto child : pids_) kill(child, SIGKILL);
    for (const auto child : pids_) waitpid(child, nullptr, 0);
  }
  IdleChildren(const IdleChildren&) = delete;
  IdleChildren& operator=(const IdleChildren&) = delete;

  [[nodiscard]] const std::vector<pid_t>& pids() const { return pids_; }

 private:
  std::vector<pid_t> pids_;
};

}  // namespace fleetledger::bench
