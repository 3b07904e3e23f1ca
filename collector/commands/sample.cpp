#include <cstdio>
#include <unistd.h>
#include <utility>

#include "collector/commands/commands.h"
#include "collector/commands/metering.h"
#include "collector/commands/report_view.h"

namespace fleetledger {

int sample_command(const CommonArguments& common, const SampleArguments& arguments) {
  const auto setup = load_good_setup(common);
  if (!setup) {
    return kExitBadConfig;
  }
  const bool live = !common.json && isatty(STDOUT_FILENO) != 0;
  bool last_failed = false;
  DaemonOptions options;
  options.interval = arguments.interval;
  options.stop_after = arguments.ticks;
  options.record = arguments.record;
  options.on_tick = [&](const TickReport& report) {
    last_failed = report.failure.has_value();
    if (report.number == 0 && !last_failed) {
      return;  // the baseline says nothing yet
    }
    const auto text = (live ? "\x1b[H\x1b[2J" : "") + (common.json ? report_json(report) : report_table(report)) + '\n';
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  const int code = meter(*setup, std::move(options));
  return code == kExitOk && last_failed ? kExitFailed : code;
}

}  // namespace fleetledger
