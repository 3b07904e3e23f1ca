#include "collector/sources/ps_source.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <optional>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/sources/procfs_source.h"
#include "collector/sources/program.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

class Fixture {
 public:
  TempDir dir;
  TestLoop loop;

  std::unique_ptr<ProcessSource> source(const std::string& program = find_program("ps").value(),
                                        std::chrono::milliseconds timeout = 20s) {
    return make_ps_source(loop.get(), {.program = program, .timeout = timeout});
  }
  Result<ProcessTable> look(ProcessSource& source) {
    std::optional<Result<ProcessTable>> result;
    source.look([&](Result<ProcessTable> table) { result = std::move(table); });
    loop.await([&] { return result.has_value(); });
    return std::move(*result);
  }
};

/// A child that does what it is told by one byte at a time.
class Worker {
 public:
  enum class Order : char { burn, reap };

  Worker() {
    REQUIRE(::pipe(orders_) == 0);
    REQUIRE(::pipe(answers_) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      work();
    }
  }
  ~Worker() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int end : {orders_[0], orders_[1], answers_[0], answers_[1]}) {
      ::close(end);
    }
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  struct Truth {
    Micros own;
    Micros reaped;
  };
  /// Spends about `centiseconds` of CPU, itself or in a child that it waits for; what the kernel counted in all.
  Truth spend(Order order, int centiseconds) {
    const char message[2] = {static_cast<char>(order), static_cast<char>(centiseconds)};
    REQUIRE(::write(orders_[1], message, 2) == 2);
    Truth truth{};
    REQUIRE(::read(answers_[0], &truth, sizeof(truth)) == static_cast<ssize_t>(sizeof(truth)));
    return truth;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  static Micros used(int who) {
    rusage usage{};
    ::getrusage(who, &usage);
    return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           Micros(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  }
  static void burn(int centiseconds) {
    const auto until = used(RUSAGE_SELF) + centiseconds * 10ms;
    while (used(RUSAGE_SELF) < until) {
    }
  }
  [[noreturn]] void work() const {
    char message[2];
    while (::read(orders_[0], message, 2) == 2) {
      if (static_cast<Order>(message[0]) == Order::reap) {
        const pid_t child = ::fork();
        if (child == 0) {
          burn(message[1]);
          ::_exit(0);
        }
        ::waitpid(child, nullptr, 0);
      } else {
        burn(message[1]);
      }
      const Truth truth{used(RUSAGE_SELF), used(RUSAGE_CHILDREN)};
      if (::write(answers_[1], &truth, sizeof(truth)) != static_cast<ssize_t>(sizeof(truth))) {
        break;
      }
    }
    ::_exit(0);
  }

  int orders_[2]{};
  int answers_[2]{};
  pid_t pid_ = 0;
};

double seconds(Micros value) { return Usage{value}.seconds(); }
double seconds(Usage value) { return value.seconds(); }

}  // namespace

TEST_CASE_METHOD(Fixture, "ps shows us, our parent and init with keys that stay") {
  auto ps = source();
  const auto first = look(*ps);
  REQUIRE(first);
  const auto* self = first->find(::getpid());
  REQUIRE(self != nullptr);
  CHECK(self->parent == ::getppid());
  CHECK(self->owner == ::getuid());
  CHECK(self->resident.value > 1'000'000);
  CHECK(self->name.view() == "sources_tests");
  REQUIRE(first->find(1) != nullptr);
  CHECK(first->find(1)->key.start < self->key.start);

  const auto second = look(*ps);
  REQUIRE(second);
  CHECK(second->find(self->key) != nullptr);
  CHECK(second->find(first->find(1)->key) != nullptr);
  CHECK(second->moment().taken > first->moment().taken);
  CHECK(second->moment().boot > first->moment().boot);
}

TEST_CASE_METHOD(Fixture, "real CPU times are never off by a second and mostly right to hundredths") {
  auto ps = source();
  REQUIRE(look(*ps));  // so that the worker is known to be younger
  Worker worker;
  CpuTotal own;
  CpuTotal with_reaped;
  std::vector<Micros> errors;
  for (int round = 0; round < 9; ++round) {
    worker.spend(Worker::Order::burn, 13);
    const auto truth = worker.spend(Worker::Order::reap, 11);
    const auto table = look(*ps);
    REQUIRE(table);
    const auto* reading = table->find(worker.pid());
    REQUIRE(reading != nullptr);
    errors.push_back(std::chrono::abs(reading->own.since_start() - truth.own));
    errors.push_back(std::chrono::abs(reading->with_reaped.since_start() - truth.own - truth.reaped));
    INFO("own " << seconds(truth.own) << " read as " << seconds(reading->own.since_start()) << ", reaped "
                << seconds(truth.reaped) << " read as " << seconds(reading->with_reaped - reading->own));
    CHECK(errors[errors.size() - 2] < 1s);
    CHECK(errors.back() < 1s);
    CHECK(reading->own >= own);
    CHECK(reading->with_reaped >= with_reaped);
    own = reading->own;
    with_reaped = reading->with_reaped;
  }
  std::sort(errors.begin(), errors.end());
  CHECK(errors[errors.size() / 2] <= 60ms);
}

TEST_CASE_METHOD(Fixture, "ps and /proc agree on starts, parents and times of every process that both show") {
  auto ps = source();
  const auto proc = make_procfs_source();
  REQUIRE(proc);
  const auto before = look(**proc);
  const auto by_ps = look(*ps);
  const auto after = look(**proc);
  REQUIRE(before);
  REQUIRE(by_ps);
  REQUIRE(after);
  std::size_t compared = 0;
  for (const auto& exact : before->readings()) {
    const auto* later = after->find(exact.key);
    const auto* reading = by_ps->find(exact.key.pid);
    if (later == nullptr || reading == nullptr || reading->parent != exact.parent) {
      continue;
    }
    if (exact.owner != later->owner) {
      continue;  // it has changed its user meanwhile
    }
    ++compared;
    INFO("pid " << exact.key.pid);
    CHECK(std::chrono::abs(reading->key.start - exact.key.start) <= 1s);
    CHECK(reading->own.since_start() > exact.own.since_start() - 1s);
    CHECK(reading->own.since_start() < later->own.since_start() + 1s);
    CHECK(reading->with_reaped.since_start() > exact.with_reaped.since_start() - 1s);
    CHECK(reading->with_reaped.since_start() < later->with_reaped.since_start() + 1s);
    CHECK(reading->owner == exact.owner);
  }
  CHECK(compared >= 3);
}

TEST_CASE_METHOD(Fixture, "a zombie is shown as one, with its name and without memory") {
  auto ps = source();
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, "a] (b) S 1 \xc3\xa9");
    ::_exit(0);
  }
  siginfo_t ended{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  const auto table = look(*ps);
  ::waitpid(child, nullptr, 0);
  REQUIRE(table);
  const auto* reading = table->find(child);
  REQUIRE(reading != nullptr);
  CHECK(reading->zombie);
  CHECK(reading->resident.value == 0);
  CHECK(reading->name.view() == "a] (b) S 1 \xc3\xa9");
}

TEST_CASE_METHOD(Fixture, "a ps that fails, hangs, prints rubbish or not us is a failed look, and the next is good") {
  const auto reason = [&](const std::string& body, std::chrono::milliseconds timeout = 20s) {
    auto ps = source(dir.script("ps", body), timeout);
    const auto table = look(*ps);
    return table ? std::string("no failure") : table.error().text;
  };
  const auto real = find_program("ps").value();
  CHECK(reason("exit 3").ends_with("it ended with status 3"));
  CHECK(reason("exec " + real + " -Z --nonsense").find("it ended with status 1: ") != std::string::npos);
  CHECK(reason("kill -9 $$").ends_with("it was ended by signal 9"));
  CHECK(reason(real + " \"$@\"; echo rubbish").find("is not what was asked for") != std::string::npos);
  CHECK(reason(real + " \"$@\"; printf '  1 0'").find("it breaks off in line") != std::string::npos);
  CHECK(reason(real + " \"$@\" | grep -v sources_tests").find("our own process") != std::string::npos);
  CHECK(reason(real + " \"$@\"; exit 1").ends_with("it ended with status 1"));
  CHECK(reason("exit 0").ends_with("it is empty"));
  CHECK(reason("exec sleep 1000", 2s).ends_with("it did not end within 2000 ms and was killed"));
  CHECK(reason("exec " + real + " \"$@\"") == "no failure");
}

TEST_CASE_METHOD(Fixture, "a failed look changes nothing of what is remembered") {
  auto ps = source(
      dir.script("ps", "[ -e " + (dir / "broken") + " ] && exit 1; exec " + find_program("ps").value() + " \"$@\""));
  const auto before = look(*ps);
  REQUIRE(before);
  dir.write("broken", "");
  CHECK_FALSE(look(*ps));
  ::unlink((dir / "broken").c_str());
  const auto after = look(*ps);
  REQUIRE(after);
  CHECK(after->find(before->find(1)->key) != nullptr);
}

TEST_CASE("a source that goes away in the middle of a look says nothing more") {
  TestLoop loop;
  auto ps = make_ps_source(loop.get(), {.program = find_program("ps").value()});
  bool told = false;
  ps->look([&](Result<ProcessTable>) { told = true; });
  ps.reset();
  uv_run(loop.get(), UV_RUN_DEFAULT);
  CHECK_FALSE(told);
}

TEST_CASE_METHOD(Fixture, "the two calls of the macOS flavour make one look") {
  const auto pid = std::to_string(::getpid());
  const auto script = dir.script("ps",
                                 "case $1 in -S) t=0:03.50;; *) t=0:02.25;; esac\n"
                                 "echo \"    1     0     0 10-00:00:00   1:02.03   2048 Ss   launchd\"\n"
                                 "echo \"" +
                                     pid + "     1   501    01:40   $t   4096 S+   our own\"");
  auto ps = make_ps_source(loop.get(), {.program = script, .flavour = PsFlavour::macos});
  const auto table = look(*ps);
  REQUIRE(table);
  const auto* self = table->find(::getpid());
  REQUIRE(self != nullptr);
  CHECK(self->own.since_start() == 2'250ms);
  CHECK(self->with_reaped.since_start() == 3'500ms);
  CHECK(self->owner == 501);
  CHECK(self->name.view() == "our own");
  CHECK(table->find(1)->own.since_start() == 62'030ms);
  CHECK(self->key.start - table->find(1)->key.start == std::chrono::hours(240) - 100s);
}
