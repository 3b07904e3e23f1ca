#include "collector/sources/ps_source.h"

#include <array>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include "collector/clock.h"
#include "collector/sources/child.h"
#include "collector/sources/proc_stat.h"
#include "collector/sources/program.h"
#include "collector/sources/ps_history.h"
#include "collector/sources/ps_parser.h"

namespace fleetledger {
namespace {

/// When we were started, as the kernel counts it: /proc/self/stat. Nothing where that is absent.
std::optional<BootTime> own_start(Micros tick) {
  std::array<char, 1024> buffer{};
  const int file = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
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
  own.start = own_start(own.tick);
  return own;
}

class PsSource final : public ProcessSource {
 public:
  PsSource(uv_loop_s* loop, PsOptions options) : options_(std::move(options)), history_(own_process()), child_(loop) {}

  void look(Done done) override {
    if (options_.flavour == PsFlavour::procps) {
      run(linux_ps_arguments(), parse_linux_ps, [this, done = std::move(done)](Result<PsLook> look) {
        done(look ? history_.take(std::move(*look)) : fail(std::move(look.error())));
      });
      return;
    }
    run(macos_ps_arguments(MacosTimes::with_reaped), parse_macos_ps,
        [this, done = std::move(done)](Result<PsLook> with_reaped) {
          if (!with_reaped) {
            done(fail(std::move(with_reaped.error())));
            return;
          }
          run(macos_ps_arguments(MacosTimes::own), parse_macos_ps,
              [this, done, reaped = std::move(with_reaped->rows)](Result<PsLook> look) {
                if (look) {
                  look->rows = merge_macos_ps(std::move(look->rows), reaped);
                }
                done(look ? history_.take(std::move(*look)) : fail(std::move(look.error())));
              });
        });
  }

 private:
  /// One run of ps, read by `parse`, with the moments between which it looked.
  void run(std::vector<std::string> arguments, Result<std::vector<PsRow>> (*parse)(std::string_view),
           std::function<void(Result<PsLook>)> done) {
    const bool ours = !child_.running();
    child_.run({.program = options_.program,
                .arguments = std::move(arguments),
                .environment = {"LC_ALL=C.UTF-8", "PATH=" + std::string(kProgramPath)},
                .timeout = options_.timeout,
                .output_limit = options_.output_limit},
               [this, parse, done = std::move(done)](Result<ChildExit> exit) {
                 PsLook look;
                 look.started = started_;
                 look.boot_started = boot_started_;
                 look.ended = system_clock().monotonic();
                 look.boot_ended = boot_now();
                 const auto output = output_of(options_.program, std::move(exit));
                 if (!output) {
                   done(fail(output.error()));
                   return;
                 }
                 auto rows = parse(*output);
                 if (!rows) {
                   done(fail(std::move(rows.error())));
                   return;
                 }
                 look.rows = std::move(*rows);
                 done(std::move(look));
               });
    if (ours) {
      // By now the child is past its exec and has not looked at anything.
      started_ = system_clock().monotonic();
      boot_started_ = boot_now();
    }
  }

  PsOptions options_;
  PsHistory history_;
  MonotonicTime started_{};
  BootTime boot_started_{};
  ChildRunner child_;  // dies first: no callback comes after
};

}  // namespace

std::unique_ptr<ProcessSource> make_ps_source(uv_loop_s* loop, PsOptions options) {
  return std::make_unique<PsSource>(loop, std::move(options));
}

}  // namespace fleetledger
