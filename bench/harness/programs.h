#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "core/result.h"

namespace fleetledger::bench {

/// A program that is run again and again, without standard input. It gets PATH, LC_ALL=C and TMUX_TMPDIR, and nothing
/// else of our environment.
class BareProgram {
 public:
  /// `name`: an absolute path, or looked up where the collector looks for its own.
  [[nodiscard]] static Result<BareProgram> find(const std::string& name, std::vector<std::string> arguments);

  /// The CPU milliseconds of one run, by the kernel's account of it; what it prints is thrown away. Fails if it does.
  [[nodiscard]] Result<double> run() const;

 private:
  explicit BareProgram(std::vector<std::string> argv) : argv_(std::move(argv)) {}
  std::vector<std::string> argv_;
};

/// A program that runs beside us. It gets the whole of our environment and `more` ("NAME=value"), a standard input on
/// which nothing comes, and dies with us.
class RunningProgram {
 public:
  struct Streams {
    std::string output = "/dev/null";  ///< files
    std::string errors = "/dev/null";
  };
  [[nodiscard]] static Result<RunningProgram> start(std::vector<std::string> argv, const Streams& streams,
                                                    const std::vector<std::string>& more = {});
  RunningProgram(RunningProgram&& other) noexcept;
  RunningProgram& operator=(RunningProgram&&) = delete;
  ~RunningProgram();  ///< ends it, by force after two seconds

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool runs();

 private:
  RunningProgram(pid_t pid, int input) : pid_(pid), input_(input) {}
  pid_t pid_ = -1;
  int input_ = -1;
};

}  // namespace fleetledger::bench
