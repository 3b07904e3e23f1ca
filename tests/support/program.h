#pragma once

#include <chrono>
#include <poll.h>
#include <string>
#include <sys/types.h>
#include <vector>

namespace fleetledger::test {

/// Looks until the condition holds. Gives up, false, only after a time that nothing but a hang takes.
template <typename Condition>
bool await(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) {
      return condition();
    }
    ::poll(nullptr, 0, 5);
  }
  return true;
}

/// What a file holds; nothing if it cannot be read.
std::string text_of_file(const std::string& path);

/// The lines of a text; what follows the last newline is no line.
std::vector<std::string> lines_of(const std::string& text);

/// Processes, zombies aside, whose command line or environment speaks of `text`, without this one.
std::vector<pid_t> processes_that_mention(const std::string& text);

/// A program that runs. What it writes goes to files, so that nobody has to read it for it to go on. It is killed and
/// reaped when this object goes, with what it started in its group, or when the test does.
class Program {
 public:
  /// `command`: path and arguments. `environment`: all of it, NAME=VALUE. `output`: the file for what it prints;
  /// what it complains goes to `output` + ".err".
  Program(const std::vector<std::string>& command, const std::vector<std::string>& environment, std::string output);
  Program(Program&& other) noexcept;
  Program& operator=(Program&&) = delete;
  ~Program();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string output() const { return text_of_file(output_); }
  [[nodiscard]] std::string errors() const { return text_of_file(output_ + ".err"); }
  [[nodiscard]] std::vector<std::string> lines() const { return lines_of(output()); }
  /// Whether it says this on stderr, now or soon.
  [[nodiscard]] bool complains(const std::string& text) const;

  void signal(int number) const;
  [[nodiscard]] bool ended();
  /// Waits for its end: its exit code, or minus the number of the signal that ended it.
  int exit_code();

 private:
  pid_t pid_ = -1;
  std::string output_;
  bool reaped_ = false;
  int code_ = 0;
};

/// A program that has run to its end.
struct Finished {
  int code = 0;
  std::string output;
  std::string errors;
};

}  // namespace fleetledger::test
