#include "bench/fleet/load_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/fleet/pidfd.h"

namespace fleetledger::fleet {
namespace {

using std::chrono::steady_clock;
constexpr std::int64_t kNanosPerMicro = 1'000;
constexpr std::int64_t kPublishNanos = 1'000'000;  // burned between two entries in the account
constexpr std::chrono::seconds kStopGrace{10};     // for a child to end by itself when told
constexpr std::chrono::seconds kMostBehind{1};     // a load does not make up for more than this

int stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void spin() {
  for (volatile int i = 0; i < 20'000;) i = i + 1;
}

std::int64_t nanos_of(const timeval& time) {
  return (static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_usec) * kNanosPerMicro;
}

/// Milliseconds for poll(), rounded up; -1 for "without end".
int poll_timeout(SteadyTime until) {
  if (until == SteadyTime::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

/// Waits for a child of ours and says what the kernel charged it and those that it had waited for; with WNOHANG in
/// `flags` nothing while it lives.
std::optional<std::int64_t> reap(pid_t pid, int flags) {
  rusage usage{};
  pid_t reaped = 0;
  while ((reaped = wait4(pid, nullptr, flags, &usage)) < 0 && errno == EINTR) {
  }
  if (reaped == 0) return std::nullopt;
  return nanos_of(usage.ru_utime) + nanos_of(usage.ru_stime);
}

}  // namespace

LoadProcess::LoadProcess(TruthAccount& account, std::optional<Micros> limit, TruthRows* rows)
    : account_(account), meter_(account), limit_(limit), rows_(rows), stop_fd_(stop_signals()) {
  publish();
}

bool LoadProcess::stopped() const {
  if (limit_ && account_.cpu().since_start() >= *limit_) return true;
  pollfd stop{stop_fd_, POLLIN, 0};
  return poll(&stop, 1, 0) != 0;
}

void LoadProcess::publish() {
  meter_.publish_resident();
  meter_.publish_cpu();
}

void LoadProcess::finish() { meter_.finish(); }

void LoadProcess::write_row_if_due() {
  if (rows_ == nullptr || steady_clock::now() < rows_->next) return;
  meter_.publish_cpu();
  write_truth_row(rows_->fd, account_);
  rows_->next = std::max(rows_->next + rows_->interval, steady_clock::now());
}

void LoadProcess::burn(Micros cpu) {
  const std::int64_t end = own_cpu_nanos() + cpu.count() * kNanosPerMicro;
  for (std::int64_t now = 0; now < end;) {
    spin();
    now = own_cpu_nanos();
    if (now - meter_.cpu_nanos() < kPublishNanos) continue;
    meter_.publish_cpu();
    write_row_if_due();
    if (stopped()) break;
  }
  publish();
}

void LoadProcess::rest_until(SteadyTime when) {
  pollfd stop{stop_fd_, POLLIN, 0};
  while (steady_clock::now() < when) {
    if (poll(&stop, 1, poll_timeout(rows_ == nullptr ? when : std::min(when, rows_->next))) > 0) return;
    write_row_if_due();
  }
}

void LoadProcess::repeat_at(double percent, const std::function<void()>& work) {
  auto start = steady_clock::now();
  while (!stopped()) {
    work();
    const std::chrono::duration<double, std::nano> used(static_cast<double>(account_.cpu_nanos()) * 100.0 / percent);
    const auto due = start + std::chrono::duration_cast<steady_clock::duration>(used);
    start = std::max(start, steady_clock::now() - (due - start) - kMostBehind);
    rest_until(due);
  }
}

void LoadProcess::be_shell(pid_t child, int write_end, std::chrono::milliseconds life) {
  close(write_end);
  prctl(PR_SET_NAME, "sh");
  Meter memory(account_);
  memory.publish_resident();
  std::array<pollfd, 2> fds{pollfd{pidfd_open(child, 0), POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
  poll(fds.data(), fds.size(), static_cast<int>(life.count()));
  // It does not wait for the child, so that what the kernel says of it when it is reaped is its own use alone.
  memory.withdraw_resident();
  _exit(EXIT_SUCCESS);
}

LoadProcess::Child LoadProcess::start(const char* name, Parting parting, std::chrono::milliseconds shell_life,
                                      const Body& body) {
  std::array<int, 2> ends{-1, -1};
  if (pipe(ends.data()) != 0) std::abort();
  const pid_t parent = getpid();
  pid_t pid = fork();
  if (pid < 0) std::abort();
  if (pid > 0) {
    close(ends[1]);
    return {pid, ends[0]};
  }
  close(ends[0]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(EXIT_FAILURE);
  if (parting == Parting::reparented) {
    pid = fork();
    if (pid < 0) _exit(EXIT_FAILURE);
    if (pid > 0) be_shell(pid, ends[1], shell_life);
    const pid_t self = getpid();
    if (write(ends[1], &self, sizeof self) != sizeof self) _exit(EXIT_FAILURE);
  }
  prctl(PR_SET_NAME, name);
  signal(SIGCHLD, SIG_DFL);
  {
    LoadProcess self(account_, limit_, nullptr);
    body(self);
    self.finish();
  }
  _exit(EXIT_SUCCESS);
}

void LoadProcess::await_end(const Child& child, const std::function<void()>& meanwhile) {
  pid_t running = child.pid;
  auto kill_at = SteadyTime::max();
  for (;;) {
    std::array<pollfd, 2> fds{pollfd{child.ended, POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
    // Once told to stop, the descriptor stays readable: what remains is the child's end or its grace.
    const bool stopping = kill_at != SteadyTime::max();
    const auto until = std::min(kill_at, rows_ == nullptr ? SteadyTime::max() : rows_->next);
    poll(fds.data(), stopping ? 1 : 2, poll_timeout(until));
    if (fds[0].revents != 0) {
      pid_t told = 0;
      const ssize_t size = read(child.ended, &told, sizeof told);
      if (size == 0) break;
      if (size == sizeof told) running = told;
      continue;
    }
    if (!stopping && fds[1].revents != 0) {
      kill(running, SIGTERM);
      kill_at = steady_clock::now() + kStopGrace;
    } else if (steady_clock::now() >= kill_at) {
      kill(running, SIGKILL);
      kill_at = steady_clock::now() + kStopGrace;
    }
    write_row_if_due();
    meanwhile();
  }
  close(child.ended);
}

void LoadProcess::run_child(const char* name, const Body& body) {
  const std::int64_t total_before = account_.cpu_nanos();
  const std::int64_t own_before = meter_.cpu_nanos();
  const Child child = start(name, Parting::waited, {}, body);
  await_end(child, [] {});
  const std::int64_t kernel_says = reap(child.pid, 0).value_or(0);
  if (rows_ != nullptr) {
    // Only the first process knows that all other entries since then were made below this child.
    const std::int64_t own_share = meter_.cpu_nanos() - own_before;
    const std::int64_t told = account_.cpu_nanos() - total_before - own_share;
    account_.add_cpu_nanos(std::max<std::int64_t>(0, kernel_says - told));
  }
  publish();
}

void LoadProcess::run_unwaited(const char* name, const Body& body) {
  signal(SIGCHLD, SIG_IGN);
  await_end(start(name, Parting::ignored, {}, body), [] {});
  publish();
}

void LoadProcess::run_reparented(const char* name, std::chrono::milliseconds shell_life, const Body& body) {
  const Child child = start(name, Parting::reparented, shell_life, body);
  bool shell_lives = true;
  const auto reap_shell = [&](int flags) {
    if (!shell_lives) return;
    const auto used = reap(child.pid, flags);
    if (!used) return;
    account_.add_cpu_nanos(*used);
    shell_lives = false;
  };
  await_end(child, [&] { reap_shell(WNOHANG); });
  reap_shell(0);
  publish();
}

}  // namespace fleetledger::fleet
