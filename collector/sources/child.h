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
  int status = 0;           ///< its exit status, if it was not ended by a signal
  int signal = 0;           ///< the signal that ended it, or 0
  std::string output;       ///< its whole stdout, within the limit
  std::string reason;       ///< the first line of its stderr, at most 200 printable characters: for messages
  MonotonicTime started{};  ///< just before it was started
  BootTime boot_started{};  ///< the same moment on the time line of process starts
};

/// The output of a child that ended well: exit status 0, no signal. Anything else is an Error with its reason.
[[nodiscard]] Result<std::string> output_of(const std::string& program, Result<ChildExit> exit);

/// Runs one program at a time on the loop: stdin is /dev/null, stdout is collected, of stderr a first line is kept.
/// What has begun is not reported before it is reaped. What grandchildren do with its pipes is not waited for.
/// All on the loop's thread, but for the start, which is one job of libuv's pool: who starts a program waits until the
/// child is past its exec. The destructor kills a running child, also one that is still being started, and drops its
/// callback; the loop then goes on until the child is reaped.
class ChildRunner {
 public:
  using Done = std::function<void(Result<ChildExit>)>;

  explicit ChildRunner(uv_loop_s* loop);
  ~ChildRunner();
  ChildRunner(const ChildRunner&) = delete;
  ChildRunner& operator=(const ChildRunner&) = delete;

  /// Has the program started and calls `done` exactly once: with the exit, whatever its status, or with an Error if it
  /// could not be started, ran out of time (counted from here, its start included), printed more than the limit, or if
  /// the one before it still runs (Error::Kind::busy). Before this returns only if that one does, or if we lack what a
  /// child needs: memory, descriptors. A program that cannot be started is told of later.
  void run(ChildOptions options, const Done& done);

  /// From run() on until the child is reaped or could not be started. A start that hangs on its disk goes on after
  /// `done` was told that time is over; the child is then killed as soon as it begins.
  [[nodiscard]] bool running() const;

 private:
  class Run;

  uv_loop_s* loop_;
  std::shared_ptr<Run> run_;
};

}  // namespace fleetledger
