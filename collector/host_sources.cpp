#include "collector/host_sources.h"

#include <optional>
#include <set>
#include <unistd.h>
#include <utility>

#include "collector/loop/worker.h"
#include "collector/sources/procfs_source.h"
#include "collector/sources/program.h"
#include "collector/sources/ps_source.h"
#include "collector/sources/tmux_panes.h"

namespace fleetledger {
namespace {

/// tmux by the configured program, or else by the first hint that can be trusted; looked for until one is found.
class TmuxWhereverItIs final : public PaneSource {
 public:
  TmuxWhereverItIs(uv_loop_s* loop, std::string configured, TmuxOptions options, TmuxHints hints)
      : loop_(loop), configured_(std::move(configured)), options_(std::move(options)), hints_(std::move(hints)) {}

  void list(Done done) override {
    if (!found_) {
      auto program = find();
      if (!program) {
        return done(fail(program.error()));
      }
      options_.program = std::move(*program);
      found_ = make_tmux_source(loop_, options_);
    }
    found_->list(std::move(done));
  }

 private:
  [[nodiscard]] Result<std::string> find() const {
    auto program = find_program(configured_);
    if (program) {
      return program;
    }
    for (const auto& hint : hints_()) {
      if (auto trusted = trusted_program(hint, geteuid())) {
        return trusted;
      }
    }
    return program;
  }

  uv_loop_s* loop_;
  std::string configured_;
  TmuxOptions options_;
  TmuxHints hints_;
  std::unique_ptr<PaneSource> found_;
};

/// A source that blocks, on another thread: of thousands of processes a look takes tens of milliseconds.
class OffTheLoop final : public ProcessSource {
 public:
  OffTheLoop(uv_loop_s* loop, std::unique_ptr<ProcessSource> source) : loop_(loop), source_(std::move(source)) {}

  void look(Done done) override {
    const auto look = [source = source_] {
      std::optional<Result<ProcessTable>> looked;
      source->look([&looked](Result<ProcessTable> table) { looked = std::move(table); });
      return std::move(*looked);
    };
    make_in_pool(loop_, alive_, look, std::move(done));
  }

 private:
  uv_loop_s* loop_;
  std::shared_ptr<ProcessSource> source_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  ///< asked by a look that outlives us
};

Result<std::unique_ptr<ProcessSource>> open_process_source(uv_loop_s* loop, const SamplingConfig& sampling) {
  if (sampling.source == ProcessSourceKind::procfs) {
    auto source = make_procfs_source();
    if (!source) {
      return fail(source.error());
    }
    return std::make_unique<OffTheLoop>(loop, std::move(*source));
  }
  auto program = find_program(sampling.ps);
  if (!program) {
    return fail(program.error());
  }
  PsOptions options;
  options.program = std::move(*program);
  options.timeout = sampling.timeout;
  return make_ps_source(loop, std::move(options));
}

}  // namespace

std::vector<std::string> tmux_hints(const Fleet& fleet) {
  std::set<std::string> hints;
  for (const auto& agent : fleet.agents) {
    if (agent.metered() && !agent.silent_since && !agent.tmux_path.empty()) {
      hints.insert(agent.tmux_path);
    }
  }
  return {hints.begin(), hints.end()};
}

Result<HostSources> open_host_sources(uv_loop_s* loop, const SamplingConfig& sampling,
                                      const std::string& tmux_socket_dir, TmuxHints hints) {
  auto processes = open_process_source(loop, sampling);
  if (!processes) {
    return fail(processes.error());
  }
  TmuxOptions tmux_options;
  tmux_options.socket_dir = tmux_socket_dir;
  tmux_options.timeout = sampling.timeout;
  return HostSources{std::move(*processes), std::make_unique<TmuxWhereverItIs>(
                                                loop, sampling.tmux, std::move(tmux_options), std::move(hints))};
}

}  // namespace fleetledger
