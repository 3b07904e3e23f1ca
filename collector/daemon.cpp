#include "collector/daemon.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>
#include <string>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/clock.h"
#include "collector/collector.h"
#include "collector/configuration_standing.h"
#include "collector/discovery/discovery.h"
#include "collector/discovery/watcher.h"
#include "collector/heap_question.h"
#include "collector/host_sources.h"
#include "collector/log.h"
#include "collector/loop/handle.h"
#include "collector/loop/loop_lag.h"
#include "collector/loop/loop_runtime.h"
#include "collector/loop/open_loop.h"
#include "collector/loop/worker.h"
#include "collector/metrics_view.h"
#include "collector/reading_plan.h"
#include "collector/service.h"
#include "collector/sources/procfs_source.h"
#include "collector/start_up_memory.h"
#include "collector/store_lane.h"

namespace fleetledger {
namespace {

/// A burst of changes is read once, and a steady stream of them once a second.
constexpr Micros kSettle = std::chrono::milliseconds{50};
constexpr Micros kBetweenRereads = std::chrono::seconds{1};
/// By then every file was read and every ledger opened.
constexpr std::uint64_t kTicksOfStart = 8;
/// What stopping may take, ledgers included.
constexpr Micros kStopLimit = std::chrono::milliseconds{800};
/// How much of that a tick under way may take.
constexpr Micros kTickGrace = std::chrono::milliseconds{400};
/// What closing may take after stopping, children included.
constexpr std::chrono::milliseconds kCloseLimit{150};
constexpr Micros kLeaveAgain = std::chrono::milliseconds{5};
/// What a look may take beyond its moment, at a start that is not over because the looks before failed.
constexpr Micros kLookGrace = std::chrono::minutes{1};

/// "2026-11-24 13:00Z"
std::string hour_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%MZ", &utc)};
}

// Besides those: one reading each of the agents' files, of environments and of /proc or ps, and the start of a tmux.
static_assert(StoreLane::kMostJobs + StoreReads::kMostJobs + EventFeed::kMostJobs + Heaps::kAtOnce + 4 <= kPoolThreads);

/// Everything that lives on the loop. Members die in the reverse order of their declaration: first what calls others.
class Daemon {
 public:
  Daemon(uv_loop_t* loop, DaemonOptions options, LedgerStore& store, HostSources sources,
         std::shared_ptr<std::vector<std::string>> tmux_hints);

  [[nodiscard]] Result<void> start();
  [[nodiscard]] Result<void> start_serving();
  [[nodiscard]] bool stuck() const { return stuck_; }

 private:
  [[nodiscard]] MetricsView metrics() const;
  void on_published(const TickReport& report);
  void arm();
  void on_timer();
  void on_folder_changed(const WatchedFolder& folder);
  [[nodiscard]] std::vector<std::string> unwatched() const;
  void read_fleet(Depth depth, std::function<void(std::shared_ptr<const Fleet>)> then);
  void on_signal(int number);
  void reload();
  void end_reload(Result<Config> config);
  void adopt(Config config);
  [[nodiscard]] Result<void> feed_watchdog();
  void tell_manager(const TickReport& report);
  void tell_status();
  void stop();
  void finish();
  void leave();
  UvHandle<uv_signal_t> watch_signal(int number);

  uv_loop_t* loop_;
  DaemonOptions options_;
  LedgerStore& store_;
  const Clock& clock_ = system_clock();
  WallTime started_ = clock_.wall();
  LoopLag loop_lag_;
  LoopRuntime runtime_;
  std::shared_ptr<Discovery> discovery_;
  HostSources sources_;
  std::shared_ptr<std::vector<std::string>> tmux_hints_;
  StoreLane lane_;
  Collector collector_;
  std::unique_ptr<Service> service_;
  UvHandle<uv_timer_t> timer_;
  UvHandle<uv_timer_t> watchdog_;
  std::unique_ptr<Watcher> watcher_;
  std::vector<UvHandle<uv_signal_t>> signals_;
  const Config started_config_;
  ConfigurationStanding configuration_{.since = started_};
  std::optional<Config> reloaded_;  ///< for discovery, at its next reading
  ReadingPlan plan_{clock_.monotonic()};
  MonotonicTime reread_{};  ///< because of a change
  std::uint64_t ticks_ = 0;
  bool reloading_ = false;     ///< the configuration is being read
  bool reload_again_ = false;  ///< when that is done
  bool stopping_ = false;
  bool draining_ = false;
  bool stuck_ = false;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  ///< asked by jobs that outlive us
};

Daemon::Daemon(uv_loop_t* loop, DaemonOptions options, LedgerStore& store, HostSources sources,
               std::shared_ptr<std::vector<std::string>> tmux_hints)
    : loop_(loop),
      options_(std::move(options)),
      store_(store),
      loop_lag_(loop),
      runtime_(loop),
      discovery_(std::make_shared<Discovery>(discovery_options(options_.config, options_.places))),
      sources_(std::move(sources)),
      tmux_hints_(std::move(tmux_hints)),
      lane_(store, runtime_.runtime(), clock_,
            [](const LedgerKey& ledger, const StoreLane::Health& health) {
              log::warning_once("ledger_failed", ledger.agent.id, health.error ? health.error->text : "");
              const auto& cut_to = health.standing ? health.standing->cut_to : std::nullopt;
              log::warning_once(
                  "ledger_too_large", ledger.agent.id,
                  cut_to ? "storage.max_size is reached: what was older than " + hour_text(*cut_to) + " went" : "");
            }),
      collector_({
                     .processes = *sources_.processes,
                     .panes = *sources_.panes,
                     .environments = make_environment_source(geteuid()),
                     .read_fleet = [this](auto depth, auto then) { read_fleet(depth, std::move(then)); },
                     .ledgers = options_.record ? &lane_ : nullptr,
                     .clock = clock_,
                     .runtime = runtime_.runtime(),
                     .ask_heap = ask_heap,
                     .events = EventSources{store, read_sentinel_log,
                                            [this](const std::string& folder) {
                                              return watcher_ &&
                                                     watcher_->tells_all(folder, WatchedFolder::Holds::logs);
                                            }},
                     .begun =
                         [this] {
                           plan_.tick_begins();
                           if (service_) {
                             service_->tick_begins();
                           }
                         },
                     .published = [this](const TickReport& report) { on_published(report); },
                 },
                 {.scope = options_.config.sampling.scope,
                  .interval = options_.interval,
                  .heap = options_.config.sampling.heap,
                  .metrics_sessions = static_cast<std::size_t>(options_.config.http.metrics_sessions)}),
      started_config_(options_.config) {}

MetricsView Daemon::metrics() const {
  auto view = view_metrics(collector_, lane_, clock_.monotonic());
  view.loop_lag = loop_lag_.turns();
  view.loop_work = loop_lag_.work();
  view.started = started_;
  view.version = options_.version;
  return view;
}

Result<void> Daemon::start_serving() {
  if (!options_.serve || !options_.config.http.enabled) {
    return {};
  }
  auto service =
      Service::start(options_.config.http,
                     {.loop = loop_, .runtime = runtime_.runtime(), .store = store_, .state = [this] {
                        return ApiState{.fleet = collector_.fleet(),
                                        .snapshot = collector_.snapshot(),
                                        .status_of = [this](const Agent& agent) { return collector_.status_of(agent); },
                                        .metrics = [this] { return metrics(); },
                                        .explain = [this](Pid pid) { return collector_.explain(pid); },
                                        .configuration = configuration_,
                                        .own_resident = collector_.last_report().self_resident,
                                        .now = clock_.wall()};
                      }});
  if (!service) {
    return fail(service.error());
  }
  service_ = std::move(*service);
  return options_.listening ? options_.listening(service_->bound_sockets()) : Result<void>{};
}

Result<void> Daemon::start() {
  if (auto serving = start_serving(); !serving) {
    return serving;
  }
  timer_ = make_handle<uv_timer_t>([this](uv_timer_t* timer) { return uv_timer_init(loop_, timer); });
  timer_->data = this;
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    auto handle = watch_signal(number);
    if (!handle) {
      return fail("watch for signals: libuv refused");
    }
    signals_.push_back(std::move(handle));
  }
  if (auto fed = feed_watchdog(); !fed) {
    return fed;
  }
  watcher_ = std::make_unique<Watcher>(loop_, [this](const WatchedFolder& folder) { on_folder_changed(folder); });
  collector_.tick();
  return {};
}

/// Twice as often as the manager wants to hear of us, from the loop: it hears nothing of a loop that hangs.
Result<void> Daemon::feed_watchdog() {
  const auto wanted = options_.manager.watchdog();
  if (!wanted) {
    return {};
  }
  watchdog_ = make_handle<uv_timer_t>([this](uv_timer_t* timer) { return uv_timer_init(loop_, timer); });
  if (!watchdog_) {
    return fail("feed the service manager's watchdog: libuv refused");
  }
  watchdog_->data = this;
  const auto period = std::chrono::duration_cast<std::chrono::milliseconds>(*wanted / 2);
  const auto every = static_cast<std::uint64_t>(std::max(period, std::chrono::milliseconds{1}).count());
  uv_timer_start(
      watchdog_.get(), [](uv_timer_t* timer) { static_cast<Daemon*>(timer->data)->options_.manager.alive(); }, every,
      every);
  return {};
}

UvHandle<uv_signal_t> Daemon::watch_signal(int number) {
  auto handle = make_handle<uv_signal_t>([this](uv_signal_t* signal) { return uv_signal_init(loop_, signal); });
  if (!handle) {
    return handle;
  }
  handle->data = this;
  const auto on_signal = [](uv_signal_t* signal, int caught) { static_cast<Daemon*>(signal->data)->on_signal(caught); };
  if (uv_signal_start(handle.get(), on_signal, number) != 0) {
    handle.reset();
  }
  return handle;
}

void Daemon::read_fleet(Depth depth, std::function<void(std::shared_ptr<const Fleet>)> then) {
  struct Reading {
    std::shared_ptr<Discovery> discovery;
    std::optional<Config> config;
    ReadingPlan::Reading plan;
    std::shared_ptr<const Fleet> fleet;
  };
  const auto reading =
      std::make_shared<Reading>(Reading{discovery_,
                                        std::exchange(reloaded_, std::nullopt),
                                        plan_.begin(depth, clock_.monotonic(), [this] { return unwatched(); }),
                                        {}});
  runtime_.runtime().in_pool(
      [reading, places = options_.places, wall = clock_.wall()] {
        if (reading->config) {
          reading->discovery->reconfigure(discovery_options(*reading->config, places));
        }
        reading->fleet = reading->discovery->refresh(reading->plan.depth, wall, reading->plan.news);
      },
      [this, reading, then = std::move(then), alive = std::weak_ptr(alive_)] {
        if (alive.expired()) {
          return;
        }
        if (watcher_) {
          // As it was last handed them: each fleet is adopted before the next one is read.
          const auto& before = *collector_.fleet();
          const bool same = before.folders == reading->fleet->folders && before.silent == reading->fleet->silent;
          if (!same || !watcher_->settled()) {
            watcher_->watch(reading->fleet->folders, reading->fleet->silent, reading->plan.asks_unwatched);
          }
          log::warning_once("watch_failed", "folders", watcher_->remark().value_or(""));
        }
        *tmux_hints_ = tmux_hints(*reading->fleet);
        then(reading->fleet);
      });
}

std::vector<std::string> Daemon::unwatched() const {
  std::vector<std::string> folders;
  for (const auto& folder : collector_.fleet()->folders) {
    // A log that is not there yet is looked for by those who read it.
    const bool matters = folder.holds != WatchedFolder::Holds::logs || folder.which.exists();
    if (matters && (!watcher_ || !watcher_->tells_all(folder))) {
      folders.push_back(folder.path);
    }
  }
  return folders;
}

void Daemon::on_published(const TickReport& report) {
  if (++ticks_ == kTicksOfStart) {
    runtime_.runtime().in_pool(give_back_start_up_memory, [] {});
  }
  if (service_) {
    service_->tick_is_over();
  }
  if (options_.on_tick && report.due) {
    options_.on_tick(report);
  }
  tell_manager(report);
  if (stopping_) {
    finish();
  } else if (options_.stop_after && report.number >= *options_.stop_after) {
    stop();
  } else {
    arm();
  }
}

void Daemon::tell_manager(const TickReport& report) {
  if (stopping_) {
    return;
  }
  const auto next = collector_.next_deadline();
  // Without an agent that is metered no look follows: there is nothing to wait for.
  if (report.failure && next && !options_.manager.is_ready()) {
    options_.manager.starting(std::max(*next - clock_.monotonic(), Micros{0}) + kLookGrace);
    options_.manager.status("the first look failed: " + report.failure->text);
    return;
  }
  if (!report.failure || !next) {
    options_.manager.ready();
  }
  tell_status();
}

void Daemon::tell_status() {
  const auto& agents = collector_.fleet()->agents;
  const auto metered = std::count_if(agents.begin(), agents.end(), [](const Agent& agent) { return agent.metered(); });
  std::size_t sessions = 0;
  for (const auto& agent : agents) {
    sessions += agent.live_sessions.size();
  }
  std::string text = "metering " + std::to_string(metered) + " of " + std::to_string(agents.size()) + " agents, " +
                     std::to_string(sessions) + " live sessions";
  if (const auto& failure = collector_.last_report().failure) {
    text += "; the last look failed: " + failure->text;
  }
  if (const auto remark = configuration_.remark(); !remark.empty()) {
    text += "; " + remark;
  }
  options_.manager.status(text);
}

void Daemon::arm() {
  const auto now = clock_.monotonic();
  const auto next = std::min(collector_.next_deadline().value_or(MonotonicTime::max()), plan_.check_due());
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(std::max(next - now, Micros{0})).count();
  uv_update_time(loop_);
  uv_timer_start(
      timer_.get(), [](uv_timer_t* timer) { static_cast<Daemon*>(timer->data)->on_timer(); },
      static_cast<std::uint64_t>(delay), 0);
}

void Daemon::on_timer() {
  const auto now = clock_.monotonic();
  const auto deadline = collector_.next_deadline();
  if (deadline && *deadline <= now) {
    return collector_.tick();  // if one is under way, nothing: the timer is armed again when it is over
  }
  if (now >= plan_.check_due()) {
    plan_.check_asked_for(now);
    collector_.reread_files(Depth::changed);
  }
  arm();
}

void Daemon::on_folder_changed(const WatchedFolder& folder) {
  if (folder.holds == WatchedFolder::Holds::logs) {
    return collector_.log_changed(folder.path);
  }
  if (!plan_.changed(folder.path)) {
    return;
  }
  const auto wait = std::max(kSettle, reread_ + kBetweenRereads - clock_.monotonic());
  runtime_.runtime().after(wait, [this] {
    if (!stopping_) {
      reread_ = clock_.monotonic();
      collector_.reread_files(Depth::told);
      arm();
    }
  });
}

void Daemon::on_signal(int number) {
  if (number == SIGHUP) {
    return reload();
  }
  log::info("stopping", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
  stop();
}

void Daemon::reload() {
  if (!options_.reload || stopping_) {
    return;
  }
  if (reloading_) {
    reload_again_ = true;
    return;
  }
  reloading_ = true;
  options_.manager.reloading(clock_.monotonic());
  const auto read = std::make_shared<Result<Config>>(fail("the configuration was not read"));
  runtime_.runtime().in_pool([read, load = options_.reload] { *read = load(); },
                             [this, read, alive = std::weak_ptr(alive_)] {
                               if (!alive.expired()) {
                                 end_reload(std::move(*read));
                               }
                             });
}

void Daemon::end_reload(Result<Config> config) {
  reloading_ = false;
  if (stopping_) {
    return;
  }
  if (config) {
    adopt(std::move(*config));
  } else {
    configuration_.refused = config.error().text;
    configuration_.refused_at = clock_.wall();
    log::error("reload_refused", {{"reason", config.error().text}, {"config", "the old one stays in force"}});
  }
  if (options_.manager.is_ready()) {
    tell_status();
    options_.manager.ready();
  }
  if (std::exchange(reload_again_, false)) {
    reload();
  }
}

void Daemon::adopt(Config config) {
  configuration_ = {.since = clock_.wall(), .at_next_start = takes_effect_at_next_start(started_config_, config)};
  if (const auto remark = configuration_.remark(); !remark.empty()) {
    log::warning("reload_incomplete", {{"reason", remark}});
  }
  log::set_level(config.log.level);
  collector_.set_options({.scope = config.sampling.scope, .interval = options_.interval, .heap = config.sampling.heap});
  options_.config = config;
  reloaded_ = std::move(config);
  log::info("reloaded");
  collector_.reread_files(Depth::folders);
  arm();
}

void Daemon::stop() {
  if (stopping_) {
    return;
  }
  stopping_ = true;
  options_.manager.stopping();
  collector_.stop_events();
  uv_timer_stop(timer_.get());
  watcher_.reset();
  if (service_) {
    service_->stop({});
  }
  runtime_.runtime().after(kStopLimit, [this] {
    stuck_ = true;
    uv_stop(loop_);
  });
  if (collector_.ticking()) {
    runtime_.runtime().after(kTickGrace, [this] { finish(); });
  } else {
    finish();
  }
}

void Daemon::finish() {
  if (!std::exchange(draining_, true)) {
    lane_.drain([this] {
      if (service_) {
        service_->stop([this] { leave(); });
      } else {
        leave();
      }
    });
  }
}

/// Not before what is read in the pool is there: the loop could not be closed. kStopLimit ends the waiting.
void Daemon::leave() {
  if (collector_.reading() || reloading_) {
    return runtime_.runtime().after(kLeaveAgain, [this] { leave(); });
  }
  uv_stop(loop_);
}

/// Runs the loop until every handle is closed, every child reaped and every job of the pool over; whether that came in
/// time. One that is being started while its disk hangs can neither be killed nor reaped.
bool close_all(uv_loop_t& loop) {
  uv_timer_t limit;
  uv_timer_init(&loop, &limit);
  uv_unref(reinterpret_cast<uv_handle_t*>(&limit));
  uv_update_time(&loop);
  uv_timer_start(
      &limit, [](uv_timer_t* timer) { uv_stop(timer->loop); }, static_cast<std::uint64_t>(kCloseLimit.count()), 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  if (uv_loop_alive(&loop) != 0) {
    return false;
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&limit), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
  return true;
}

}  // namespace

DiscoveryOptions discovery_options(const Config& config, const Places& places) {
  return {
      .config = config.discovery,
      .defaults = {.sample_interval = config.sampling.sample_interval,
                   .idle_sample_interval = config.sampling.idle_sample_interval,
                   .retention = config.storage.retention,
                   .location = config.storage.location,
                   .event_retention = config.storage.event_retention,
                   .upstream_event_retention = config.storage.upstream_event_retention,
                   .max_ledger_size = config.storage.max_size,
                   .rollup_retention = config.storage.rollup_retention},
      .home = places.home,
      .user = geteuid(),
  };
}

Result<Ended> run_daemon(DaemonOptions options, LedgerStore& store) {
  auto loop = std::make_unique<uv_loop_t>();
  if (auto opened = open_loop(loop.get()); !opened) {
    return fail(std::move(opened.error()));
  }
  std::signal(SIGPIPE, SIG_IGN);
  Result<Ended> ended = Ended::stopped;
  const auto hints = std::make_shared<std::vector<std::string>>();
  auto sources = open_host_sources(loop.get(), options.config.sampling, options.places.tmux_socket_dir,
                                   [hints] { return *hints; });
  if (!sources) {
    ended = fail(sources.error());
  } else {
    log::warning_once("processes_hidden", "processes", procfs_restriction());
    Daemon daemon(loop.get(), std::move(options), store, std::move(*sources), hints);
    if (const auto started = daemon.start(); !started) {
      ended = fail(started.error());
    } else {
      uv_run(loop.get(), UV_RUN_DEFAULT);
    }
    if (daemon.stuck()) {
      static_cast<void>(loop.release());  // threads of the pool that wake up yet tell it so
      return Ended::stuck;
    }
  }
  if (!close_all(*loop)) {
    static_cast<void>(loop.release());
    return ended ? Ended::stuck : ended;
  }
  uv_loop_close(loop.get());
  return ended;
}

}  // namespace fleetledger
