#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/units.h"

struct uv_loop_s;

namespace fleetledger {

struct ChildOptions {
  std::string program;                   ///< absolute path
  std::vector<std::string> arguments;    ///< without the program's own name
  std::vector<std::string> environment;  ///< all of it, as NAME=value; nothing of ours is inherited
  std::chrono::milliseconds timeout{5'000};
  std::size_t output_limit = std::size_t{1} << 20U;  ///< bytes of stdout; one more and the child is killed
};

/// How a child ended, once it is reaped.
struct ChildExit {
  int status = 0;      ///< its exit status, if it was not ended by a signal
  int signal = 0;      ///< the signal that ended it, or 0
  std::string output;  ///< its whole stdout, within the limit
  std::string reason;  ///< the first line of its stderr, at most 200 printable characters: for messages
};

/// The output of a child that ended well: exit status 0, no signal. Anything else is an Error with its reason.
[[nodiscard]] Result<std::string> output_of(const std::string& program, Result<ChildExit> exit);

/// Runs one program at a time on the loop: stdin is /dev/null, stdout is collected, of stderr a first line is kept.
/// Nothing is reported before the child is reaped. What grandchildren do with its pipes is not waited for.
/// All on the loop's thread. The destructor kills a running child and drops its callback; the loop then goes on until
/// the child is reaped.
class ChildRunner {
 public:
  using Done = std::function<void(Result<ChildExit>)>;

  explicit ChildRunner(uv_loop_s* loop);
  ~ChildRunner();
  ChildRunner(const ChildRunner&) = delete;
  ChildRunner& operator=(const ChildRunner&) = delete;

  /// Starts the program and calls `done` exactly once, possibly before this returns: with the exit, whatever its
  /// status, or with an Error if it could not be started, ran out of time, printed more than the limit, or if the one
  /// before it still runs (Error::Kind::busy).
  void run(const ChildOptions& options, const Done& done);

  [[nodiscard]] bool running() const;

 private:
  class Run;

  uv_loop_s* loop_;
  std::shared_ptr<Run> run_;
};

}  // namespace fleetledger
