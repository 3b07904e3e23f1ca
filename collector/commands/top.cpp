#include <csignal>
#include <cstdio>
#include <optional>
#include <unistd.h>
#include <utility>
#include <uv.h>

#include "collector/clock.h"
#include "collector/commands/commands.h"
#include "collector/commands/own_looks.h"
#include "collector/commands/running_collector.h"
#include "collector/commands/terminal.h"
#include "collector/commands/top_view.h"
#include "collector/log.h"
#include "collector/loop/loop_runtime.h"
#include "collector/loop/open_loop.h"

namespace fleetledger {
namespace {

/// The numbers of one refresh: of the collector that runs, or else of own looks.
class Top {
 public:
  Top(uv_loop_t* loop, const Setup& setup, const TopArguments& arguments, bool json)
      : loop_(loop), setup_(setup), arguments_(arguments), json_(json), runtime_(loop) {}

  Result<void> start() {
    if (!arguments_.once) {
      auto terminal = Terminal::open(loop_, {.quit = [this] { uv_stop(loop_); }, .resized = [this] { draw(); }});
      if (!terminal) {
        return fail(terminal.error());
      }
      terminal_ = std::move(*terminal);
      terminal_->show({"looking at this host ..."});
    }
    refresh();
    return {};
  }

  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

 private:
  void refresh() {
    const auto answer = std::make_shared<Result<std::string>>(fail("not asked"));
    runtime_.runtime().in_pool([answer, setup = setup_] { *answer = ask_running_collector(setup, "/fleet/now"); },
                               [this, answer, alive = std::weak_ptr(alive_)] {
                                 if (!alive.expired()) {
                                   take_answer(*answer);
                                 }
                               });
  }

  void take_answer(const Result<std::string>& answer) {
    if (!answer) {
      return look(answer.error().text);
    }
    auto numbers = JsonDocument::parse(*answer);
    if (!numbers || !answer->starts_with('{') || !numbers->root().member("ts").integer()) {
      return look("the collector's answer is not understood");
    }
    if (!has_numbers(numbers->root())) {
      return look("the collector has not looked twice yet");
    }
    looks_.reset();  // a baseline of long ago would make an average of the next look
    origin_ = {.collector = true, .why = "", .age = {}};
    take_numbers(*answer, std::move(*numbers));
  }

  void look(std::string why) {
    if (!looks_) {
      auto opened = OwnLooks::open(loop_, setup_);
      if (!opened) {
        return give_up(opened.error());
      }
      looks_ = std::move(*opened);
    }
    looks_->look([this, why = std::move(why)](Result<ApiState> state) {
      if (!state) {
        return give_up(state.error());
      }
      const auto text = fleet_now_json(*state);
      auto numbers = JsonDocument::parse(text);
      if (!numbers) {
        return give_up(numbers.error());
      }
      if (!has_numbers(numbers->root())) {
        return runtime_.runtime().after(arguments_.interval, [this, why] { look(why); });
      }
      origin_ = {.collector = false, .why = why, .age = {}};
      take_numbers(text, std::move(*numbers));
    });
  }

  void give_up(const Error& error) {
    failure_ = error;
    if (arguments_.once) {
      return uv_stop(loop_);
    }
    draw();
    again();
  }

  void take_numbers(const std::string& text, JsonDocument numbers) {
    failure_.reset();
    numbers_ = std::move(numbers);
    if (arguments_.once) {
      print(text);
      return uv_stop(loop_);
    }
    draw();
    again();
  }

  void again() {
    runtime_.runtime().after(arguments_.interval, [this] { refresh(); });
  }

  void print(const std::string& text) {
    set_age();
    std::string shown;
    if (json_) {
      shown = top_json(text, origin_) + '\n';
    } else {
      for (const auto& line : top_lines(numbers_->root(), origin_,
                                        {.width = stdout_size().width, .height = 0, .colour = stdout_takes_colour()})) {
        shown += line + '\n';
      }
    }
    std::fwrite(shown.data(), 1, shown.size(), stdout);
  }

  void draw() {
    const auto size = stdout_size();
    if (failure_) {
      return terminal_->show({"the host cannot be looked at: " + failure_->text});
    }
    if (!numbers_) {
      return;
    }
    set_age();
    terminal_->show(top_lines(numbers_->root(), origin_,
                              {.width = size.width, .height = size.height, .colour = stdout_takes_colour()}));
  }

  void set_age() {
    const WallTime ts{std::chrono::milliseconds{numbers_->root().member("ts").integer().value_or(0)}};
    origin_.age = std::max(system_clock().wall() - ts, std::chrono::milliseconds{0});
  }

  uv_loop_t* loop_;
  const Setup& setup_;
  const TopArguments& arguments_;
  bool json_;
  LoopRuntime runtime_;
  std::unique_ptr<OwnLooks> looks_;
  std::unique_ptr<Terminal> terminal_;
  std::optional<JsonDocument> numbers_;
  TopOrigin origin_;
  std::optional<Error> failure_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);  ///< asked by jobs that outlive us
};

}  // namespace

int top_command(const CommonArguments& common, const TopArguments& arguments) {
  const auto setup = load_setup(common);
  // A collector that refused this configuration goes on with the one that it had, and shows that it did.
  if (!setup.problems.empty() && !ask_running_collector(setup, "/fleet/now")) {
    print_problems(setup);
    return kExitBadConfig;
  }
  log::set_level(LogLevel::error);  // nothing but the page on the terminal
  std::signal(SIGPIPE, SIG_IGN);
  uv_loop_t loop;
  if (const auto opened = open_loop(&loop); !opened) {
    return print_error(opened.error());
  }
  std::optional<Error> failure;
  {
    Top top(&loop, setup, arguments, common.json);
    if (const auto started = top.start(); !started) {
      failure = started.error();
    } else {
      uv_run(&loop, UV_RUN_DEFAULT);
      failure = arguments.once ? top.failure() : std::nullopt;
    }
  }
  uv_run(&loop, UV_RUN_DEFAULT);  // until every handle is closed and every child reaped
  uv_loop_close(&loop);
  return failure ? print_error(*failure) : kExitOk;
}

}  // namespace fleetledger
