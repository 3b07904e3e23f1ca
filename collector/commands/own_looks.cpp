#include "collector/commands/own_looks.h"

#include <algorithm>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/clock.h"
#include "collector/collector.h"
#include "collector/host_sources.h"
#include "collector/loop/loop_runtime.h"

namespace fleetledger {

class OwnLooks::Impl {
 public:
  Impl(uv_loop_t* loop, const Setup& setup, HostSources sources, std::shared_ptr<std::vector<std::string>> hints)
      : runtime_(loop),
        discovery_(std::make_shared<Discovery>(discovery_options(setup.config, setup.places))),
        sources_(std::move(sources)),
        hints_(std::move(hints)),
        collector_({.processes = *sources_.processes,
                    .panes = *sources_.panes,
                    .environments = make_environment_source(geteuid()),
                    .read_fleet = [this](Depth depth, auto then) { read_fleet(depth, std::move(then)); },
                    .clock = clock_,
                    .runtime = runtime_.runtime(),
                    .published = [this](const TickReport& report) { on_published(report); }},
                   {.scope = setup.config.sampling.scope, .interval = std::nullopt}) {}

  void look(std::function<void(Result<ApiState>)> then) {
    then_ = std::move(then);
    collector_.tick();
  }

 private:
  void read_fleet(Depth depth, std::function<void(std::shared_ptr<const Fleet>)> then) {
    const auto fleet = std::make_shared<std::shared_ptr<const Fleet>>();
    runtime_.runtime().in_pool(
        [fleet, discovery = discovery_, depth, wall = clock_.wall()] {
          *fleet = discovery->refresh(std::max(depth, Depth::changed), wall);  // nothing is watched here
        },
        [this, fleet, then = std::move(then), alive = std::weak_ptr(alive_)] {
          if (!alive.expired()) {
            *hints_ = tmux_hints(**fleet);
            then(*fleet);
          }
        });
  }

  void on_published(const TickReport& report) {
    const auto then = std::exchange(then_, nullptr);
    if (!then) {
      return;  // a session that began is looked at between the looks that were asked for
    }
    if (report.failure) {
      return then(fail(*report.failure));
    }
    then(ApiState{.fleet = collector_.fleet(),
                  .snapshot = collector_.snapshot(),
                  .status_of = [this](const Agent& agent) { return collector_.status_of(agent); },
                  .own_resident = report.self_resident,
                  .now = clock_.wall()});
  }

  const Clock& clock_ = system_clock();
  LoopRuntime runtime_;
  std::shared_ptr<Discovery> discovery_;
  HostSources sources_;
  std::shared_ptr<std::vector<std::string>> hints_;
  std::function<void(Result<ApiState>)> then_;
  Collector collector_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  ///< asked by jobs that outlive us
};

OwnLooks::OwnLooks(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OwnLooks::~OwnLooks() = default;
void OwnLooks::look(std::function<void(Result<ApiState>)> then) { impl_->look(std::move(then)); }

Result<std::unique_ptr<OwnLooks>> OwnLooks::open(uv_loop_s* loop, const Setup& setup) {
  const auto hints = std::make_shared<std::vector<std::string>>();
  auto sources =
      open_host_sources(loop, setup.config.sampling, setup.places.tmux_socket_dir, [hints] { return *hints; });
  if (!sources) {
    return fail(sources.error());
  }
  return std::unique_ptr<OwnLooks>(new OwnLooks(std::make_unique<Impl>(loop, setup, std::move(*sources), hints)));
}

}  // namespace fleetledger
