#include "collector/sources/ps_source.h"

#include <array>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "collector/clock.h"
#include "collector/loop/worker.h"
#include "collector/sources/child.h"
#include "collector/sources/proc_stat.h"
#include "collector/sources/program.h"
#include "collector/sources/ps_history.h"
#include "collector/sources/ps_parser.h"

namespace fleetledger {
namespace {

/// When a process was started, as the kernel counts it: /proc/PID/stat. Nothing where that is absent.
std::optional<BootTime> start_of(Pid pid, Micros tick) {
  std::array<char, 1024> buffer{};
  const int file = ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return std::nullopt;
  }
  const auto got = ::read(file, buffer.data(), buffer.size());
  ::close(file);
  const auto stat = parse_proc_stat({buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0});
  return stat ? std::optional(BootTime{stat->start_ticks * tick}) : std::nullopt;
}

OwnProcess own_process() {
  OwnProcess own{.pid = ::getpid(), .start = std::nullopt};
  if (const long ticks = ::sysconf(_SC_CLK_TCK); ticks > 0) {
    own.tick = Micros{std::chrono::seconds(1)} / ticks;
  }
  own.start = start_of(own.pid, own.tick);
  return own;
}

std::shared_ptr<PsHistory> make_history() {
  const auto own = own_process();
  return std::make_shared<PsHistory>(own, [tick = own.tick](Pid pid) { return start_of(pid, tick); });
}

/// What one run of ps printed, and the moments between which it looked.
struct Printed {
  std::string text;
  PsLook look;  ///< without rows
};

Result<ProcessTable> read_procps(PsHistory& history, Printed printed) {
  auto rows = parse_linux_ps(printed.text);
  if (!rows) {
    return fail(std::move(rows.error()));
  }
  printed.look.rows = std::move(*rows);
  return history.take(std::move(printed.look));
}

/// `with_reaped` was printed before `own`.
Result<ProcessTable> read_macos(PsHistory& history, const Printed& with_reaped, Printed own) {
  auto reaped_rows = parse_macos_ps(with_reaped.text);
  if (!reaped_rows) {
    return fail(std::move(reaped_rows.error()));
  }
  auto rows = parse_macos_ps(own.text);
  if (!rows) {
    return fail(std::move(rows.error()));
  }
  own.look.rows = merge_macos_ps(std::move(*rows), std::move(*reaped_rows));
  return history.take(std::move(own.look));
}

/// What ps prints of thousands of processes takes tens of milliseconds to read: that is done in the pool.
class PsSource final : public ProcessSource {
 public:
  PsSource(uv_loop_s* loop, PsOptions options)
      : loop_(loop), options_(std::move(options)), history_(make_history()), child_(loop) {}

  void look(Done done) override {
    if (reading_) {
      done(fail("read the output of ps: that of the one before is still being read", Error::Kind::busy));
      return;
    }
    if (options_.flavour == PsFlavour::procps) {
      run(linux_ps_arguments(), [this, done = std::move(done)](Result<Printed> printed) {
        if (!printed) {
          done(fail(std::move(printed.error())));
          return;
        }
        read([printed =
                  std::move(*printed)](PsHistory& history) mutable { return read_procps(history, std::move(printed)); },
             done);
      });
      return;
    }
    run(macos_ps_arguments(MacosTimes::with_reaped), [this, done = std::move(done)](Result<Printed> with_reaped) {
      if (!with_reaped) {
        done(fail(std::move(with_reaped.error())));
        return;
      }
      run(macos_ps_arguments(MacosTimes::own), [this, done, reaped = std::move(*with_reaped)](Result<Printed> own) {
        if (!own) {
          done(fail(std::move(own.error())));
          return;
        }
        read([reaped, own = std::move(*own)](
                 PsHistory& history) mutable { return read_macos(history, reaped, std::move(own)); },
             done);
      });
    });
  }

 private:
  /// One run of ps.
  void run(std::vector<std::string> arguments, std::function<void(Result<Printed>)> done) {
    child_.run({.program = options_.program,
                .arguments = std::move(arguments),
                .environment = {"LC_ALL=C.UTF-8", "PATH=" + std::string(kProgramPath)},
                .timeout = options_.timeout,
                .output_limit = options_.output_limit},
               [this, done = std::move(done)](Result<ChildExit> exit) {
                 Printed printed;
                 printed.look.ended = system_clock().monotonic();
                 printed.look.boot_ended = boot_now();
                 if (exit) {
                   printed.look.started = exit->started;
                   printed.look.boot_started = exit->boot_started;
                 }
                 auto output = output_of(options_.program, std::move(exit));
                 if (!output) {
                   done(fail(std::move(output.error())));
                   return;
                 }
                 printed.text = std::move(*output);
                 done(std::move(printed));
               });
  }

  /// Has the pool make a table of what was printed. One at a time: the history is one.
  template <typename Make>
  void read(Make make, Done done) {
    reading_ = true;
    make_in_pool(
        loop_, alive_, [history = history_, make = std::move(make)]() mutable { return make(*history); },
        [this, done = std::move(done)](Result<ProcessTable> table) {
          reading_ = false;
          done(std::move(table));
        });
  }

  uv_loop_s* loop_;
  PsOptions options_;
  std::shared_ptr<PsHistory> history_;  ///< used by the job that reads
  bool reading_ = false;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  ///< asked by a job that outlives us
  ChildRunner child_;                                                       // dies first: no callback comes after
};

}  // namespace

std::unique_ptr<ProcessSource> make_ps_source(uv_loop_s* loop, PsOptions options) {
  return std::make_unique<PsSource>(loop, std::move(options));
}

}  // namespace fleetledger
