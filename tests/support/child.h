#pragma once

#include <csignal>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/sources/proc_stat.h"
#include "core/units.h"

namespace fleetledger::test {

/// A process of the test; killed when it goes.
class Child {
 public:
  explicit Child(const std::function<void()>& work) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() == parent) work();
      ::_exit(0);
    }
  }
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// As the kernel tells it.
  [[nodiscard]] BootTime start() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
    std::ostringstream text;
    text << file.rdbuf();
    const auto stat = parse_proc_stat(text.str());
    if (!stat) throw std::runtime_error("no such child");
    return BootTime{ticks_to_micros(stat->start_ticks)};
  }

 private:
  pid_t pid_ = -1;
};

[[noreturn]] inline void sleep_for_ever() {
  for (;;) ::pause();
}

}  // namespace fleetledger::test
