#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <sys/types.h>

#include "bench/fleet/truth.h"

namespace fleetledger::fleet {

using SteadyTime = std::chrono::steady_clock::time_point;

/// The rows of truth that the first process of a load writes while it works and waits.
struct TruthRows {
  int fd = -1;
  std::chrono::milliseconds interval{};
  SteadyTime next = SteadyTime::max();
};

/// One process of a load: it burns, rests, has children, and keeps the account while it does. SIGTERM, SIGINT and
/// SIGHUP (blocked, seen through a descriptor) tell it to stop; what it waits for then returns early.
class LoadProcess {
 public:
  /// `rows` is null in all processes but the first. `limit`: the load's CPU time at which it is done.
  LoadProcess(TruthAccount& account, std::optional<Micros> limit, TruthRows* rows);

  [[nodiscard]] bool stopped() const;  ///< told to, or the load's limit is reached
  void burn(Micros cpu);               ///< keeps one core busy until it has used so much more itself
  void rest_until(SteadyTime when);
  void publish();  ///< brings the account up to date
  void finish();   ///< the account's last entry of this process

  /// One after the other until stopped: `work`, then a rest that keeps the whole load's CPU at `percent` of a core.
  void repeat_at(double percent, const std::function<void()>& work);

  /// What a child does; it ends when this returns.
  using Body = std::function<void(LoadProcess& self)>;

  /// Runs a child called `name` (what ps shows) and waits for it, as a shell does.
  void run_child(const char* name, const Body& body);
  /// The same with SIGCHLD ignored: returns when the child has ended, and nobody has waited for it.
  void run_unwaited(const char* name, const Body& body);
  /// Through a shell that starts the child and ends after `shell_life`, or when the child does: returns when the child
  /// has ended, reaped by pid 1.
  void run_reparented(const char* name, std::chrono::milliseconds shell_life, const Body& body);

 private:
  struct Child {
    pid_t pid = -1;
    int ended = -1;  ///< a pipe: holds the pid of a process to be stopped in place of `pid`; at its end when it and
                     ///< all below it have ended
  };
  enum class Parting { waited, ignored, reparented };
  Child start(const char* name, Parting parting, std::chrono::milliseconds shell_life, const Body& body);
  [[noreturn]] void be_shell(pid_t child, int write_end, std::chrono::milliseconds life);
  /// `meanwhile`: called now and then.
  void await_end(const Child& child, const std::function<void()>& meanwhile);
  void write_row_if_due();

  TruthAccount& account_;
  Meter meter_;
  std::optional<Micros> limit_;
  TruthRows* rows_;
  int stop_fd_;
};

}  // namespace fleetledger::fleet
