#include "bench/fleet/marked.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <set>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/fleet/pidfd.h"

namespace fleetledger::fleet {
namespace {

using namespace std::chrono_literals;
constexpr std::string_view kMark = "BENCH_FLEET_ROOT=";

/// What can be read of a file of /proc: of a process that has just ended, nothing.
std::string text_of(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  std::array<char, 4096> block{};
  for (ssize_t size = 0; (size = read(fd, block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<std::size_t>(size));
  }
  close(fd);
  return text;
}

bool carries(Pid pid, const std::string& mark) {
  const std::string environment = text_of("/proc/" + std::to_string(pid) + "/environ");
  const std::string entry = mark + '\0';
  return environment.starts_with(entry) || environment.find('\0' + entry) != std::string::npos;
}

/// Signals a process only if it still is one of the fleet's: the descriptor keeps its pid from meaning another.
void signal_marked(Pid pid, const std::string& mark, int signal) {
  const int fd = pidfd_open(pid, 0);
  if (fd < 0) return;
  if (carries(pid, mark)) pidfd_send_signal(fd, signal, nullptr, 0);
  close(fd);
}

bool is_tmux(Pid pid) { return text_of("/proc/" + std::to_string(pid) + "/comm").starts_with("tmux"); }

/// Waits until this one has ended or a moment has passed.
void await_an_end(Pid pid) {
  const int fd = pidfd_open(pid, 0);
  if (fd < 0) return;
  pollfd ended{fd, POLLIN, 0};
  poll(&ended, 1, 20);
  close(fd);
}

[[noreturn]] void become(const std::vector<std::string>& argv, const std::vector<std::string>& environment) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> arguments;
  std::vector<char*> variables;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  for (const auto& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
  arguments.push_back(nullptr);
  variables.push_back(nullptr);
  execvpe(arguments[0], arguments.data(), variables.data());
  _exit(127);
}

}  // namespace

std::vector<std::string> marked_environment(const std::string& root) {
  const char* path = std::getenv("PATH");
  return {std::string(kMark) + root, std::string("PATH=") + (path != nullptr ? path : "/usr/bin:/bin"),
          "HOME=" + root + "/home",  "TMUX_TMPDIR=" + root + "/tmux",
          "SHELL=/bin/sh",           "TERM=xterm",
          "LC_ALL=C.UTF-8"};
}

std::vector<Pid> marked_processes(const std::string& root) {
  const std::string mark = std::string(kMark) + root;
  std::vector<Pid> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    Pid pid = 0;
    const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (wrong == std::errc() && *end == '\0' && pid != getpid() && carries(pid, mark)) found.push_back(pid);
  }
  return found;
}

Result<void> end_marked(const std::string& root) {
  const std::string mark = std::string(kMark) + root;
  const auto start = std::chrono::steady_clock::now();
  std::set<Pid> told;
  for (;;) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const auto left = marked_processes(root);
    if (left.empty()) return {};
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > 10s) return fail("end the fleet in " + root + ": " + std::to_string(left.size()) + " do not end");
    for (const Pid pid : left) {
      if (waited > 2s) {
        signal_marked(pid, mark, SIGKILL);
      } else if (!told.contains(pid) && !is_tmux(pid)) {
        signal_marked(pid, mark, SIGTERM);
        told.insert(pid);
      }
    }
    await_an_end(left.front());
  }
}

Result<pid_t> spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment, bool outlives) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return fail("start " + argv[0] + ": " + std::strerror(errno));
  if (pid > 0) return pid;
  if (outlives) {
    setsid();
  } else {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
  }
  const int null = open("/dev/null", O_RDWR);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, stream);
  if (null > STDERR_FILENO) close(null);
  become(argv, environment);
}

Result<std::string> output_of(const std::vector<std::string>& argv, const std::vector<std::string>& environment) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail("run " + argv[0] + ": " + std::strerror(errno));
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    become(argv, environment);
  }
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    return fail("run " + argv[0] + ": " + std::strerror(errno));
  }
  std::string text;
  std::array<char, 4096> block{};
  ssize_t size = 0;
  while ((size = read(ends[0], block.data(), block.size())) > 0) text.append(block.data(), static_cast<size_t>(size));
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const bool missing = WIFEXITED(status) && WEXITSTATUS(status) == 127;
    return fail("run " + argv[0] + ": " + (missing ? "it cannot be started" : "it failed"));
  }
  return text;
}

}  // namespace fleetledger::fleet
