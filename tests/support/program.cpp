#include "tests/support/program.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace fleetledger::test {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (const auto& text : texts) {
    all.push_back(const_cast<char*>(text.c_str()));
  }
  all.push_back(nullptr);
  return all;
}

int open_output(const std::string& path) { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600); }

bool is_zombie(const std::string& proc) {
  const auto stat = text_of_file(proc + "/stat");
  const auto name_end = stat.rfind(')');
  return name_end == std::string::npos || stat.compare(name_end, 3, ") Z") == 0;
}

}  // namespace

std::string text_of_file(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return text;
  }
  std::array<char, 65536> block{};
  for (ssize_t size = 0; (size = ::read(file, block.data(), block.size())) > 0;) {
    text.append(block.data(), static_cast<std::size_t>(size));
  }
  ::close(file);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t from = 0, to = 0; (to = text.find('\n', from)) != std::string::npos; from = to + 1) {
    lines.push_back(text.substr(from, to - from));
  }
  return lines;
}

std::vector<pid_t> processes_that_mention(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    const std::string proc = entry.path();
    if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; }) ||
        std::stoi(name) == ::getpid() || is_zombie(proc)) {
      continue;
    }
    if (text_of_file(proc + "/cmdline").find(text) != std::string::npos ||
        text_of_file(proc + "/environ").find(text) != std::string::npos) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

Program::Program(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                 std::string output)
    : output_(std::move(output)) {
  const auto arguments = pointers(command);
  const auto variables = pointers(environment);
  const pid_t parent = ::getpid();
  int begun[2] = {-1, -1};  // ends when the child has become the program
  if (::pipe2(begun, O_CLOEXEC) != 0) {
    throw std::runtime_error("cannot make a pipe");
  }
  pid_ = ::fork();
  if (pid_ != 0) {
    ::close(begun[1]);
    char none = 0;
    while (pid_ > 0 && ::read(begun[0], &none, 1) < 0 && errno == EINTR) {
    }
    ::close(begun[0]);
    if (pid_ < 0) {
      throw std::runtime_error("cannot fork");
    }
    return;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
  ::dup2(open_output(output_), STDOUT_FILENO);
  ::dup2(open_output(output_ + ".err"), STDERR_FILENO);
  if (::getppid() == parent && ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0) {
    ::execve(arguments.front(), arguments.data(), variables.data());
  }
  ::_exit(127);
}

Program::Program(Program&& other) noexcept
    : pid_(other.pid_),
      output_(std::move(other.output_)),
      reaped_(std::exchange(other.reaped_, true)),
      code_(other.code_) {}

Program::~Program() {
  if (!reaped_) {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);  // it may not have come to lead its group
    ::waitpid(pid_, nullptr, 0);
  }
}

bool Program::complains(const std::string& text) const {
  return await([&] { return errors().find(text) != std::string::npos; });
}

void Program::signal(int number) const { ::kill(pid_, number); }

bool Program::ended() {
  int status = 0;
  if (!reaped_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    reaped_ = true;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  return reaped_;
}

int Program::exit_code() {
  if (!await([&] { return ended(); })) {
    throw std::runtime_error("a program does not end");
  }
  return code_;
}

}  // namespace fleetledger::test
