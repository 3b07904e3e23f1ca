#include "bench/harness/programs.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "collector/sources/program.h"

extern char** environ;

namespace fleetledger::bench {
namespace {

double milliseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return std::string(name) + "=" + (value == nullptr ? otherwise : value);
}

}  // namespace

Result<BareProgram> BareProgram::find(const std::string& name, std::vector<std::string> arguments) {
  auto path = find_program(name);
  if (!path) return fail(path.error());
  arguments.insert(arguments.begin(), std::move(*path));
  return BareProgram(std::move(arguments));
}

Result<double> BareProgram::run() const {
  auto arguments = argv_;
  const auto argv = pointers(arguments);
  std::vector<std::string> variables{"LC_ALL=C", variable("TMUX_TMPDIR", "/tmp"), variable("PATH", "/usr/bin:/bin")};
  const auto environment = pointers(variables);
  posix_spawn_file_actions_t streams;
  posix_spawn_file_actions_init(&streams);
  posix_spawn_file_actions_addopen(&streams, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&streams, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &streams, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&streams);
  if (error != 0) return fail("run " + argv_[0] + ": " + std::strerror(error));
  int status = 0;
  rusage used{};
  while (wait4(pid, &status, 0, &used) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail("run " + argv_[0] + ": it failed");
  return milliseconds(used.ru_utime) + milliseconds(used.ru_stime);
}

Result<RunningProgram> RunningProgram::start(std::vector<std::string> argv, const Streams& streams,
                                             const std::vector<std::string>& more) {
  auto path = find_program(argv.front());
  if (!path) return fail(path.error());
  argv.front() = std::move(*path);
  std::vector<std::string> variables;
  const auto is_set_anew = [&more](std::string_view entry) {
    return std::any_of(more.begin(), more.end(), [entry](std::string_view other) {
      return entry.substr(0, entry.find('=')) == other.substr(0, other.find('='));
    });
  };
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!is_set_anew(*entry)) variables.emplace_back(*entry);
  }
  variables.insert(variables.end(), more.begin(), more.end());
  const auto arguments = pointers(argv);
  const auto environment = pointers(variables);
  std::array<int, 2> input{};
  if (pipe2(input.data(), O_CLOEXEC) != 0) return fail("run " + argv[0] + ": " + std::strerror(errno));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int output = open(streams.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int errors = open(streams.errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (getppid() == parent && output >= 0 && errors >= 0) {
      dup2(input[0], 0);
      dup2(output, 1);
      dup2(errors, 2);
      execve(arguments[0], arguments.data(), environment.data());
    }
    _exit(127);
  }
  close(input[0]);
  if (pid < 0) {
    close(input[1]);
    return fail("run " + argv[0] + ": " + std::strerror(errno));
  }
  return RunningProgram(pid, input[1]);
}

RunningProgram::RunningProgram(RunningProgram&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), input_(std::exchange(other.input_, -1)) {}

RunningProgram::~RunningProgram() {
  if (runs()) {
    kill(pid_, SIGTERM);
    for (int waited = 0; runs() && waited < 200; ++waited) std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (input_ >= 0) close(input_);
}

bool RunningProgram::runs() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

}  // namespace fleetledger::bench
