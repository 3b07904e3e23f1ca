#include "collector/sources/child.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <dlfcn.h>
#include <fstream>
#include <optional>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"
#include "tests/support/test_loop.h"

namespace {

std::atomic<bool> starts_hang = false;

}  // namespace

// It stands before the C library's own.
extern "C" int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  starts_hang.wait(true);
  static const auto real = reinterpret_cast<decltype(&posix_spawn)>(::dlsym(RTLD_NEXT, "posix_spawn"));
  return real(pid, path, actions, attributes, arguments, environment);
}

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

/// Runs a script to its end and hands back what was reported.
class Fixture {
 public:
  TempDir dir;
  TestLoop loop;
  ChildRunner runner{loop.get()};
  int reports = 0;

  ChildOptions options(const std::string& program) {
    return {.program = program,
            .arguments = {},
            .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
            .timeout = 20s,
            .output_limit = 1U << 20U};
  }
  Result<ChildExit> run(const ChildOptions& options) {
    std::optional<Result<ChildExit>> result;
    runner.run(options, [&](Result<ChildExit> exit) {
      ++reports;
      result = std::move(exit);
    });
    loop.await([&] { return result.has_value(); });
    return std::move(*result);
  }
  Result<ChildExit> run(const std::string& script) { return run(options(dir.script("program", script))); }
};

bool have_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/// A child that nobody has reaped yet, and that stays so.
void wait_for_end_of_a_child() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) != 0) {
    ::sched_yield();  // it is not started yet
  }
}

/// Ended, whether or not its parent has noticed.
bool ended(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  return !std::getline(stat, text) || text.find(") Z ") != std::string::npos || text.find(") X ") != std::string::npos;
}

pid_t pid_in(const std::string& path) {
  pid_t pid = 0;
  std::ifstream(path) >> pid;
  return pid;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a child's output, status and first error line are reported once it is reaped") {
  const auto exit = run("echo one; echo two; echo; printf 'b\\tad\\033 thing\\nmore\\n' >&2; exit 7");
  REQUIRE(exit);
  CHECK(exit->output == "one\ntwo\n\n");
  CHECK(exit->status == 7);
  CHECK(exit->signal == 0);
  CHECK(exit->reason == "bad thing");
  CHECK(reports == 1);
  CHECK_FALSE(have_children());
  CHECK_FALSE(runner.running());
}

TEST_CASE_METHOD(Fixture, "a child gets its arguments and nothing of our environment, and reads nothing") {
  ::setenv("FLEETLEDGER_SECRET", "hunter2", 1);
  auto with = options(dir.script("program", "printf '%s|' \"$@\"; cat; echo; env; pwd"));
  with.arguments = {"a b", "", "$(x)"};
  with.environment.push_back("ONLY=this");
  const auto exit = run(with);
  REQUIRE(exit);
  CHECK(exit->output.starts_with("a b||$(x)|\n"));
  CHECK(exit->output.find("ONLY=this\n") != std::string::npos);
  CHECK(exit->output.find("hunter2") == std::string::npos);
  CHECK(exit->output.find("HOME=") == std::string::npos);
  CHECK(exit->output.ends_with("\n/\n"));
}

TEST_CASE_METHOD(Fixture, "a child that is ended by a signal is reported with it") {
  const auto exit = run("echo half; kill -TERM $$");
  REQUIRE(exit);
  CHECK(exit->signal == SIGTERM);
  CHECK(exit->output == "half\n");
  CHECK_FALSE(output_of("p", *exit));
}

TEST_CASE_METHOD(Fixture, "good output with a bad status is no output") {
  const auto output = output_of("/bin/p", run("echo fine; echo why >&2; exit 1"));
  REQUIRE_FALSE(output);
  CHECK(output.error().text == "run /bin/p: it ended with status 1: why");
}

TEST_CASE_METHOD(Fixture, "a hanging child is killed with all of its group and reported when it is reaped") {
  auto with = options(dir.script("program", "sleep 1000 & echo $! > " + (dir / "pid") + "; wait"));
  with.timeout = 3s;  // in which it has started, whatever else the host does
  const auto exit = run(with);
  REQUIRE_FALSE(exit);
  CHECK(exit.error().text == "run " + (dir / "program") + ": it did not end within 3000 ms and was killed");
  CHECK_FALSE(have_children());
  const auto sleeper = pid_in(dir / "pid");
  REQUIRE(sleeper > 0);
  while (!ended(sleeper)) {
    ::sched_yield();
  }
}

TEST_CASE_METHOD(Fixture, "a child that ignores every signal it can is killed all the same") {
  auto with = options(dir.script("program", "trap '' TERM INT HUP; while :; do :; done"));
  with.timeout = 2s;
  CHECK_FALSE(run(with));
  CHECK_FALSE(have_children());
}

TEST_CASE_METHOD(Fixture, "endless output ends at the limit, and output of exactly the limit is whole") {
  auto with = options(dir.script("endless", "exec yes"));
  with.output_limit = 100'000;
  const auto endless = run(with);
  REQUIRE_FALSE(endless);
  CHECK(endless.error().text.ends_with("it printed more than 100000 bytes and was killed"));
  CHECK_FALSE(have_children());

  with.program = dir.script("exact", "head -c 100000 /dev/zero");
  const auto exact = run(with);
  REQUIRE(exact);
  CHECK(exact->output.size() == 100'000);

  with.program = dir.script("more", "head -c 100001 /dev/zero");
  CHECK_FALSE(run(with));
}

TEST_CASE_METHOD(Fixture, "endless complaints on stderr neither block the child nor are kept") {
  const auto exit = run("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo done");
  REQUIRE(exit);
  CHECK(exit->output == "done\n");
  CHECK(exit->reason == std::string(200, 'x'));
}

TEST_CASE_METHOD(Fixture, "a grandchild that holds the pipes open is not waited for") {
  auto with = options(dir.script(
      "program", "(trap '' HUP; exec setsid sleep 1000) & echo $! > " + (dir / "pid") + "; head -c 200000 /dev/zero"));
  with.timeout = 600s;  // the test ends long before, or it hangs
  const auto exit = run(with);
  REQUIRE(exit);
  CHECK(exit->output.size() == 200'000);
  CHECK(exit->status == 0);
  const auto sleeper = pid_in(dir / "pid");
  REQUIRE(sleeper > 0);
  CHECK(::kill(sleeper, SIGKILL) == 0);
}

TEST_CASE_METHOD(Fixture, "what cannot be started is an error that says why") {
  const auto missing = run(options(dir / "missing"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().text == "run " + (dir / "missing") + ": no such file or directory");
  CHECK(missing.error().kind == Error::Kind::unavailable);

  const auto forbidden = run(options(dir.write("plain", "no program", 0644)));
  REQUIRE_FALSE(forbidden);
  CHECK(forbidden.error().text.ends_with("permission denied"));

  CHECK_FALSE(run(options(dir.path())));
  CHECK(reports == 3);
  CHECK_FALSE(have_children());
  CHECK(run("echo well again"));
}

TEST_CASE_METHOD(Fixture, "what cannot be started is told of once, later, and leaves no descriptor open") {
  REQUIRE(run("exit 0"));  // the loop has opened what it needs for itself
  const auto lowest_free = [] {
    const int lowest = ::dup(0);
    ::close(lowest);
    return lowest;
  };
  const int before = lowest_free();
  int told = 0;
  runner.run(options(dir / "missing"), [&](const Result<ChildExit>& exit) {
    ++told;
    CHECK_FALSE(exit);
    CHECK_FALSE(runner.running());
  });
  CHECK(told == 0);
  CHECK(runner.running());
  loop.await([&] { return told > 0; });
  uv_run(loop.get(), UV_RUN_DEFAULT);
  CHECK(told == 1);
  CHECK(lowest_free() == before);
}

TEST_CASE_METHOD(Fixture, "a child that ends before the loop hears of its start is reported whole") {
  std::optional<Result<ChildExit>> result;
  runner.run(options(dir.script("program", "echo quick; echo why >&2; exit 3")),
             [&](Result<ChildExit> exit) { result = std::move(exit); });
  wait_for_end_of_a_child();
  CHECK_FALSE(result);
  CHECK(runner.running());
  loop.await([&] { return result.has_value(); });
  REQUIRE(*result);
  CHECK((*result)->output == "quick\n");
  CHECK((*result)->reason == "why");
  CHECK((*result)->status == 3);
  CHECK_FALSE(have_children());
}

TEST_CASE_METHOD(Fixture, "a start that hangs on its disk kept the caller waiting for ever") {
  auto with = options(dir.script("program", "exec sleep 1000"));
  with.timeout = 50ms;
  starts_hang = true;
  std::optional<Result<ChildExit>> result;
  runner.run(with, [&](Result<ChildExit> exit) {
    CHECK_FALSE(result);
    result = std::move(exit);
  });
  loop.await([&] { return result.has_value(); });
  REQUIRE_FALSE(*result);
  CHECK(result->error().text.ends_with("it could not be started within 50 ms"));
  CHECK(runner.running());
  CHECK_FALSE(run(with));  // one at a time
  starts_hang = false;
  starts_hang.notify_all();
  loop.await([&] { return !runner.running(); });
  CHECK_FALSE(have_children());  // it was killed when it began
  CHECK(run(options(dir.script("other", "exit 0"))));
}

TEST_CASE_METHOD(Fixture, "no descriptors left is an error, and passes") {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  REQUIRE(run("exit 0"));  // the loop has opened what it needs for itself
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  auto tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;
  const auto with = options(dir.script("program", "echo ok"));
  ::setrlimit(RLIMIT_NOFILE, &tight);
  const auto starved = run(with);
  ::setrlimit(RLIMIT_NOFILE, &before);
  REQUIRE_FALSE(starved);
  CHECK(starved.error().text.ends_with("too many open files"));
  CHECK(run(with));
}

TEST_CASE_METHOD(Fixture, "one child at a time: a second run is refused and the first goes on") {
  std::optional<Result<ChildExit>> first;
  const auto with = options(dir.script("program", "echo first"));
  runner.run(with, [&](Result<ChildExit> exit) { first = std::move(exit); });
  const auto second = run(with);
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == Error::Kind::busy);
  loop.await([&] { return first.has_value(); });
  REQUIRE(*first);
  CHECK((*first)->output == "first\n");
}

TEST_CASE_METHOD(Fixture, "the callback may start the next child") {
  const auto with = options(dir.script("program", "echo again"));
  int ended = 0;
  std::function<void(Result<ChildExit>)> next = [&](Result<ChildExit> exit) {
    CHECK(exit);
    if (++ended < 3) {
      runner.run(with, next);
    }
  };
  runner.run(with, next);
  loop.await([&] { return ended == 3; });
}

namespace {

/// A runner that goes away after run(), once `then` is over. The loop is not run before.
template <typename Then>
void let_go(const std::string& program, const Then& then) {
  bool told = false;
  {
    TestLoop loop;
    auto runner = std::make_unique<ChildRunner>(loop.get());
    runner->run({.program = program, .arguments = {}, .environment = {"PATH=/usr/bin:/bin"}, .timeout = 600s},
                [&](const Result<ChildExit>&) { told = true; });
    then(loop);
    REQUIRE(runner->running());
    runner.reset();
  }  // the loop ends only when the child is reaped
  CHECK_FALSE(told);
  CHECK_FALSE(have_children());
}

}  // namespace

TEST_CASE("a runner that goes away kills its child, tells nobody, and the child is reaped") {
  const TempDir dir;
  const auto program = dir.script("program", "echo > " + (dir / "runs") + "; exec sleep 1000");
  const auto runs = [&] { return ::access((dir / "runs").c_str(), F_OK) == 0; };
  SECTION("while it is being started") {
    let_go(program, [](TestLoop&) {});
  }
  SECTION("while it runs and the loop has not heard of it") {
    let_go(program, [&](TestLoop&) {
      while (!runs()) {
        ::sched_yield();
      }
    });
  }
  SECTION("while it runs") {
    let_go(program, [&](TestLoop& loop) {
      while (!runs()) {
        uv_run(loop.get(), UV_RUN_NOWAIT);
      }
    });
  }
  SECTION("when it has ended and the loop has not heard of it") {
    let_go(dir.script("quick", "exit 0"), [](TestLoop&) { wait_for_end_of_a_child(); });
  }
  SECTION("while what cannot be started is tried") {
    let_go(dir / "missing", [](TestLoop&) {});
  }
}

TEST_CASE("the callback may let its runner go") {
  const TempDir dir;
  TestLoop loop;
  auto runner = std::make_unique<ChildRunner>(loop.get());
  runner->run({.program = dir.script("program", "exit 0"), .arguments = {}, .environment = {}},
              [&](Result<ChildExit>) { runner.reset(); });
  loop.await([&] { return runner == nullptr; });
}
