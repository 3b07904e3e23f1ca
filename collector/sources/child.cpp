#include "collector/sources/child.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/clock.h"
#include "collector/loop/handle.h"
#include "collector/loop/worker.h"
#include "collector/sources/descriptor.h"

namespace fleetledger {
namespace {

constexpr std::size_t kReasonLimit = 200;

/// One run of a program is refused, killed or reported; said in one place so that all messages look alike.
tl::unexpected<Error> run_failed(const std::string& program, const std::string& why,
                                 Error::Kind kind = Error::Kind::failed) {
  return fail("run " + program + ": " + why, kind);
}

}  // namespace

Result<std::string> output_of(const std::string& program, Result<ChildExit> exit) {
  if (!exit) {
    return fail(std::move(exit.error()));
  }
  if (exit->signal != 0) {
    return run_failed(program, "it was ended by signal " + std::to_string(exit->signal));
  }
  if (exit->status != 0) {
    return run_failed(program, "it ended with status " + std::to_string(exit->status) +
                                   (exit->reason.empty() ? "" : ": " + exit->reason));
  }
  return std::move(exit->output);
}

namespace {

/// What a job of the pool starts: a program, with nothing of ours but the child's ends of two pipes.
struct Start {
  ChildOptions options;
  Descriptor out;
  Descriptor err;
  int failure = 0;  ///< as libuv counts errors; 0: these are set
  pid_t pid = 0;
  MonotonicTime started{};
  BootTime boot_started{};

  void run();
};

/// Not by uv_spawn(), which forks: that copies the page tables of all the memory we have, and took 20 ms with 500
/// ledgers open. This holds up the thread that it is called on alone.
void Start::run() {
  std::vector<char*> arguments{options.program.data()};
  for (auto& argument : options.arguments) {
    arguments.push_back(argument.data());
  }
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  for (auto& entry : options.environment) {
    environment.push_back(entry.data());
  }
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  // Each can fail for want of memory; without one of them the child would not be as it has to be.
  int result = 0;
  const auto then = [&result](auto step) { result = result == 0 ? step() : result; };
  then([&] { return posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0); });
  then([&] { return posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO); });
  then([&] { return posix_spawn_file_actions_adddup2(&actions, err.get(), STDERR_FILENO); });
  then([&] { return posix_spawn_file_actions_addchdir_np(&actions, "/"); });
  then([&] { return posix_spawnattr_setsigdefault(&attributes, &all); });
  then([&] { return posix_spawnattr_setsigmask(&attributes, &none); });
  // A session of its own, and so a process group of its own: all of it can be killed.
  then([&] {
    return posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  });
  started = system_clock().monotonic();
  boot_started = boot_now();
  then([&] {
    return posix_spawn(&pid, options.program.c_str(), &actions, &attributes, arguments.data(), environment.data());
  });
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  failure = -result;
  out = Descriptor();
  err = Descriptor();
}

}  // namespace

/// One child. Keeps itself alive until it is reaped or could not be started, so that its owner may go away before.
class ChildRunner::Run : public std::enable_shared_from_this<Run> {
 public:
  Run(const ChildOptions& options, Done done)
      : program_(options.program),
        output_limit_(options.output_limit),
        timeout_(options.timeout),
        done_(std::move(done)) {}

  /// 0, or libuv's error; then nothing is started and nobody told.
  int start(uv_loop_t* loop, ChildOptions options) {
    out_ = make_handle<uv_pipe_t>([&](uv_pipe_t* pipe) { return uv_pipe_init(loop, pipe, 0); });
    err_ = make_handle<uv_pipe_t>([&](uv_pipe_t* pipe) { return uv_pipe_init(loop, pipe, 0); });
    timer_ = make_handle<uv_timer_t>([&](uv_timer_t* timer) { return uv_timer_init(loop, timer); });
    ended_ = make_handle<uv_signal_t>([&](uv_signal_t* signal) { return uv_signal_init(loop, signal); });
    if (!out_ || !err_ || !timer_ || !ended_) {
      return UV_ENOMEM;
    }
    out_->data = err_->data = timer_->data = ended_->data = this;
    const auto start = std::make_shared<Start>();
    start->options = std::move(options);
    for (auto [pipe, end] : {std::pair(out_.get(), &start->out), std::pair(err_.get(), &start->err)}) {
      std::array<uv_file, 2> files{};
      if (const int failure = uv_pipe(files.data(), UV_NONBLOCK_PIPE, 0); failure != 0) {
        return failure;
      }
      *end = Descriptor(files[1]);
      if (const int failure = uv_pipe_open(pipe, files[0]); failure != 0) {
        ::close(files[0]);
        return failure;
      }
    }
    if (const int failure = uv_signal_start(
            ended_.get(), [](uv_signal_t* signal, int) { static_cast<Run*>(signal->data)->look_for_end(); }, SIGCHLD);
        failure != 0) {
      return failure;
    }
    uv_update_time(loop);  // its idea of now may be old
    uv_timer_start(
        timer_.get(), [](uv_timer_t* timer) { static_cast<Run*>(timer->data)->out_of_time(); },
        static_cast<std::uint64_t>(timeout_.count()), 0);
    self_ = shared_from_this();
    run_in_pool(
        loop, [start] { start->run(); }, [start, self = self_] { self->started(*start); });
    return 0;
  }

  /// It is being started, or runs.
  [[nodiscard]] bool active() const { return self_ != nullptr; }

  /// The child is killed, if need be once it is started, and when it is reaped nobody is told.
  void abandon() {
    done_ = nullptr;
    kill_group();
  }

 private:
  void started(const Start& start) {
    if (start.failure != 0) {
      const auto alive = end();
      tell(run_failed(program_, uv_strerror(start.failure), Error::Kind::unavailable));
      return;
    }
    pid_ = start.pid;
    exit_.started = start.started;
    exit_.boot_started = start.boot_started;
    if (!done_) {
      kill_group();
    }
    uv_read_start(reinterpret_cast<uv_stream_t*>(out_.get()), give_buffer,
                  [](uv_stream_t* stream, ssize_t got, const uv_buf_t* buffer) {
                    static_cast<Run*>(stream->data)->read_some(stream, got, buffer, &Run::take_output);
                  });
    uv_read_start(reinterpret_cast<uv_stream_t*>(err_.get()), give_buffer,
                  [](uv_stream_t* stream, ssize_t got, const uv_buf_t* buffer) {
                    static_cast<Run*>(stream->data)->read_some(stream, got, buffer, &Run::take_reason);
                  });
    look_for_end();  // the signal of its end may have come before we knew its pid
  }

  /// Some child of ours has ended.
  void look_for_end() {
    if (pid_ == 0) {
      return;  // it is still being started, and looked for when that is over
    }
    int status = 0;
    pid_t ended = 0;
    do {
      ended = ::waitpid(pid_, &status, WNOHANG);
    } while (ended < 0 && errno == EINTR);
    if (ended == pid_) {
      reaped(WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
  }

  static void give_buffer(uv_handle_t* handle, std::size_t /*suggested*/, uv_buf_t* buffer) {
    auto& memory = static_cast<Run*>(handle->data)->buffer_;
    *buffer = uv_buf_init(memory.data(), static_cast<unsigned>(memory.size()));
  }

  void read_some(uv_stream_t* stream, ssize_t got, const uv_buf_t* buffer, void (Run::*take)(std::string_view)) {
    if (got > 0) {
      (this->*take)({buffer->base, static_cast<std::size_t>(got)});
    } else if (got < 0) {
      uv_read_stop(stream);
    }
  }

  void take_output(std::string_view bytes) {
    if (bytes.size() > output_limit_ - exit_.output.size()) {
      if (failure_.empty()) {
        failure_ = "it printed more than " + std::to_string(output_limit_) + " bytes and was killed";
        kill_group();
      }
      return;
    }
    exit_.output.append(bytes);
  }

  /// Keeps the first line that has something printable in it. The rest is read and dropped, so that nobody waits.
  void take_reason(std::string_view bytes) {
    for (const char byte : bytes) {
      if (reason_complete_) {
        return;
      }
      if (byte == '\n') {
        reason_complete_ = !exit_.reason.empty();
      } else if (byte >= ' ' && byte <= '~') {
        exit_.reason.push_back(byte);
        reason_complete_ = exit_.reason.size() >= kReasonLimit;
      }
    }
  }

  void out_of_time() {
    const auto within = " within " + std::to_string(timeout_.count()) + " ms";
    if (pid_ == 0) {
      return tell(run_failed(program_, "it could not be started" + within));  // and is killed once it is
    }
    if (failure_.empty()) {
      failure_ = "it did not end" + within + " and was killed";
    }
    kill_group();
  }

  void kill_group() {
    if (active() && pid_ != 0) {
      ::kill(-pid_, SIGKILL);
    }
  }

  void reaped(int status, int signal) {
    // All that the child itself wrote is in the pipes by now; what holds them open beyond that is not waited for.
    drain(out_, &Run::take_output);
    drain(err_, &Run::take_reason);
    exit_.status = status;
    exit_.signal = signal;
    const auto alive = end();
    if (!failure_.empty()) {
      tell(run_failed(program_, failure_));
    } else {
      tell(std::move(exit_));
    }
  }

  /// Nothing of it is left but what the caller holds.
  std::shared_ptr<Run> end() {
    ended_.reset();
    timer_.reset();
    out_.reset();
    err_.reset();
    return std::exchange(self_, nullptr);
  }

  void tell(Result<ChildExit> exit) {
    if (const auto done = std::exchange(done_, nullptr)) {
      done(std::move(exit));
    }
  }

  void drain(const UvHandle<uv_pipe_t>& pipe, void (Run::*take)(std::string_view)) {
    uv_read_stop(reinterpret_cast<uv_stream_t*>(pipe.get()));
    int descriptor = -1;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(pipe.get()), &descriptor) != 0) {
      return;
    }
    while (failure_.empty()) {
      const ssize_t got = ::read(descriptor, buffer_.data(), buffer_.size());
      if (got > 0) {
        (this->*take)({buffer_.data(), static_cast<std::size_t>(got)});
        drained_ += static_cast<std::size_t>(got);
        if (drained_ > output_limit_ + buffer_.size()) {
          return;  // somebody else goes on writing
        }
      } else if (got == 0 || errno != EINTR) {
        return;
      }
    }
  }

  std::string program_;
  std::size_t output_limit_;
  std::chrono::milliseconds timeout_;
  Done done_;
  ChildExit exit_;
  std::string failure_;  ///< why it was killed by us; empty if it was not
  bool reason_complete_ = false;
  std::size_t drained_ = 0;
  std::array<char, 65536> buffer_;
  UvHandle<uv_pipe_t> out_;
  UvHandle<uv_pipe_t> err_;
  UvHandle<uv_timer_t> timer_;
  UvHandle<uv_signal_t> ended_;
  pid_t pid_ = 0;              ///< 0 while it is being started
  std::shared_ptr<Run> self_;  ///< set until the child is reaped, or could not be started
};

ChildRunner::ChildRunner(uv_loop_s* loop) : loop_(loop) {}

ChildRunner::~ChildRunner() {
  if (running()) {
    run_->abandon();
  }
}

bool ChildRunner::running() const { return run_ && run_->active(); }

void ChildRunner::run(ChildOptions options, const Done& done) {
  if (running()) {
    done(run_failed(options.program, "the one before it still runs", Error::Kind::busy));
    return;
  }
  auto program = options.program;
  auto started = std::make_shared<Run>(options, done);
  if (const int failure = started->start(loop_, std::move(options)); failure != 0) {
    done(run_failed(program, uv_strerror(failure), Error::Kind::unavailable));
    return;
  }
  run_ = std::move(started);
}

}  // namespace fleetledger
