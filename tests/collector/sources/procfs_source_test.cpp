#include "collector/sources/procfs_source.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <random>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/sources/proc_stat.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using fleetledger::test::TempDir;
using namespace std::chrono_literals;

namespace {

Result<ProcessTable> look(ProcessSource& source) {
  std::optional<Result<ProcessTable>> result;
  source.look([&](Result<ProcessTable> table) { result = std::move(table); });
  REQUIRE(result);
  return std::move(*result);
}

std::string stat_line(Pid pid, const std::string& name, const std::string& state = "S", Pid parent = 1) {
  return std::to_string(pid) + " (" + name + ") " + state + " " + std::to_string(parent) +
         " 10 10 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 1 0 123456 18446744073709551615 300 18446744073709551615 1 1 "
         "0 0 0 0 0\n";
}

/// A /proc of the test's own, in which process 42 looks.
class FakeProc {
 public:
  TempDir dir;

  FakeProc() { add(42, stat_line(42, "ourselves")); }
  void add(Pid pid, const std::string& line) const { dir.write(std::to_string(pid) + "/stat", line); }
  Result<ProcessTable> look() const {
    const auto source = make_procfs_source({.root = dir.path(), .self = 42});
    REQUIRE(source);
    return ::look(**source);
  }
  [[nodiscard]] std::string why_failed() const {
    const auto table = look();
    return table ? "not failed" : table.error().text;
  }
};

Micros cpu_used(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         Micros(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

}  // namespace

TEST_CASE("a stat line is read in the kernel's units") {
  const auto stat = parse_proc_stat(stat_line(7, "work", "R", 3));
  REQUIRE(stat);
  CHECK(stat->pid == 7);
  CHECK(stat->parent == 3);
  CHECK(stat->state == 'R');
  CHECK(stat->name.view() == "work");
  CHECK(stat->own_ticks == 300);
  CHECK(stat->reaped_ticks == 50);
  CHECK(stat->start_ticks == 123456);
  CHECK(stat->resident_pages == 300);
}

TEST_CASE("the name in a stat line may hold any byte") {
  for (const std::string name :
       {"a b", ") S 1 (", "a) R 1 2 3 4 5 6 7 8 9 10 11 12 13 (b", "x\ny", "", ")", "(", "\xff\xfe\x01", "12345 (x"}) {
    INFO(name);
    const auto stat = parse_proc_stat(stat_line(7, name, "S", 3));
    REQUIRE(stat);
    CHECK(stat->name.view() == std::string_view(name).substr(0, 15));
    CHECK(stat->parent == 3);
    CHECK(stat->own_ticks == 300);
  }
}

TEST_CASE("a stat line that is not whole is not read, wherever it breaks off before the last number we use") {
  const auto line = stat_line(7, "work");
  const auto used = line.find(" 300 1844") + 4;
  for (std::size_t length = 0; length <= used; ++length) {
    INFO(line.substr(0, length));
    CHECK_FALSE(parse_proc_stat(std::string_view(line).substr(0, length)));
  }
  CHECK(parse_proc_stat(std::string_view(line).substr(0, used + 1)));
}

TEST_CASE("a stat line whose state is no letter is not read") {
  CHECK(parse_proc_stat(stat_line(7, "work", "Z", 3)));
  CHECK(parse_proc_stat(stat_line(7, "work", "t", 3)));
  for (const auto* state : {" ", "0", "(", "\n", "RR", ""}) {
    CHECK_FALSE(parse_proc_stat(stat_line(7, "work", state, 3)));
  }
}

TEST_CASE("whatever bytes a stat line has, it is read in range or refused") {
  std::mt19937 random(11);
  for (int round = 0; round < 50'000; ++round) {
    auto line = stat_line(7, "work");
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      line[random() % line.size()] = random() % 2 == 0 ? static_cast<char>(random()) : "() -0\n"[random() % 6];
    }
    if (const auto stat = parse_proc_stat(line)) {
      REQUIRE(stat->pid > 0);
      REQUIRE(stat->parent >= 0);
      REQUIRE(stat->own_ticks >= 0);
      REQUIRE(stat->reaped_ticks >= 0);
      REQUIRE(stat->start_ticks >= 0);
      REQUIRE(stat->resident_pages >= 0);
    }
  }
}

TEST_CASE_METHOD(FakeProc, "ticks become time and pages become bytes") {
  REQUIRE(::sysconf(_SC_CLK_TCK) == 100);  // what the expected numbers below assume
  add(7, stat_line(7, "work", "R", 42));
  add(8, stat_line(8, "gone", "Z", 42));
  const auto table = look();
  REQUIRE(table);
  REQUIRE(table->size() == 3);
  const auto* work = table->find(ProcessKey{7, BootTime{1'234'560ms}});
  REQUIRE(work != nullptr);
  CHECK(work->parent == 42);
  CHECK(work->owner == ::getuid());
  CHECK(work->own.since_start() == 3s);
  CHECK(work->with_reaped.since_start() == 3500ms);
  CHECK(work->resident.value == 300 * ::sysconf(_SC_PAGESIZE));
  CHECK_FALSE(work->zombie);
  CHECK(table->find(8)->zombie);
  CHECK(table->find(8)->resident.value == 0);
  CHECK(table->moment().cpu_resolution == 10ms);
  CHECK(table->moment().start_slack == 0ms);
}

TEST_CASE_METHOD(FakeProc, "what is no process is passed over, and processes that vanish are left out") {
  dir.write("uptime", "1 1");
  dir.write("self/stat", "rubbish");
  dir.write("12x/stat", "rubbish");
  std::filesystem::create_directory(dir / "13");  // it vanished between the listing and the opening
  add(14, "");                                    // between the opening and the reading
  add(15, stat_line(15, "dying", "X"));           // it is not there any more
  dir.write("-5/stat", "rubbish");
  dir.write(std::string(20, '9') + "/stat", "rubbish of a number that is no pid");
  const auto table = look();
  REQUIRE(table);
  CHECK(table->size() == 1);
}

TEST_CASE_METHOD(FakeProc, "rubbish in a process's stat fails the look") {
  add(7, "7 (work) S 1\n");
  CHECK(why_failed() == "look at " + dir.path() + ": 7/stat is not what the kernel writes");
  add(7, stat_line(8, "of another process"));
  CHECK(why_failed().ends_with("7/stat is not what the kernel writes"));
  add(7, std::string(100'000, 'x'));
  CHECK(why_failed().ends_with("7/stat is not what the kernel writes"));
  add(7, stat_line(7, "well"));
  CHECK(why_failed() == "not failed");
}

TEST_CASE_METHOD(FakeProc, "a link or a pipe in place of stat blocks nothing and is not followed") {
  const auto secret = dir.write("secret", stat_line(7, "foreign"));
  std::filesystem::create_directory(dir / "7");
  std::filesystem::create_symlink(secret, dir / "7/stat");
  CHECK(why_failed().find("7/stat: ") != std::string::npos);
  std::filesystem::remove(dir / "7/stat");
  REQUIRE(::mkfifo((dir / "7/stat").c_str(), 0600) == 0);
  const auto table = look();
  REQUIRE(table);
  CHECK(table->find(7) == nullptr);
}

TEST_CASE("a folder without our own process is not our /proc") {
  const TempDir dir;
  dir.write("7/stat", stat_line(7, "work"));
  const auto source = make_procfs_source({.root = dir.path(), .self = 42});
  REQUIRE(source);
  const auto table = look(**source);
  REQUIRE_FALSE(table);
  CHECK(table.error().text == "look at " + dir.path() + ": our own process 42 is not in it");
  CHECK(make_procfs_source({.root = dir / "missing"}).error().kind == Error::Kind::unavailable);
}

TEST_CASE_METHOD(FakeProc, "hidden processes are said to be hidden") {
  CHECK(procfs_restriction(dir.path()).find("hidepid") != std::string::npos);
  add(1, stat_line(1, "init"));
  CHECK(procfs_restriction(dir.path()).empty());
  CHECK(procfs_restriction(dir / "missing").empty());
}

TEST_CASE_METHOD(FakeProc, "hidden processes were not said to be hidden where process 1 is our own") {
  add(1, stat_line(1, "sh"));
  const auto mounted = [&](const std::string& folder, const std::string& options) {
    return "24 30 0:22 / " + folder + " rw,nosuid shared:5 - proc proc " + options + "\n";
  };
  const auto restricts = [&](const std::string& mounts) {
    dir.write("self/mountinfo", mounts);
    return !procfs_restriction(dir.path()).empty();
  };
  for (const auto* options : {"rw,hidepid=invisible", "rw,hidepid=2", "rw,gid=5,hidepid=1", "rw,hidepid=ptraceable"}) {
    CAPTURE(options);
    CHECK(restricts(mounted(dir.path(), options)));
    CHECK_FALSE(restricts(mounted("/proc", options)));
    CHECK_FALSE(restricts(mounted(dir.path(), options) + mounted(dir.path(), "rw")));
  }
  for (const auto* options : {"rw", "rw,hidepid=off", "rw,hidepid=0", "rw,hidepid=off,subset=pid"}) {
    CAPTURE(options);
    CHECK_FALSE(restricts(mounted(dir.path(), options)));
  }
  if (::geteuid() == 0) {  // one process of somebody else is seen: nothing is hidden
    add(2, stat_line(2, "other"));
    REQUIRE(::chown((dir / "2").c_str(), 65534, 65534) == 0);
    CHECK_FALSE(restricts(mounted(dir.path(), "rw,hidepid=2")));
  }
}

TEST_CASE("the real /proc shows us and a child as the kernel accounts for them") {
  const auto source = make_procfs_source();
  REQUIRE(source);
  const auto before = look(**source);
  REQUIRE(before);
  REQUIRE(before->find(::getpid()) != nullptr);
  CHECK(before->find(::getpid())->parent == ::getppid());
  CHECK(before->find(::getpid())->resident.value > 1'000'000);

  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, ") a\nb (");
    const pid_t grandchild = ::fork();
    while (cpu_used(RUSAGE_SELF) < (grandchild == 0 ? 70ms : 120ms)) {
    }
    if (grandchild == 0) {
      ::_exit(0);
    }
    ::waitpid(grandchild, nullptr, 0);
    const Micros truth[2] = {cpu_used(RUSAGE_SELF), cpu_used(RUSAGE_CHILDREN)};
    static_cast<void>(::write(ready[1], truth, sizeof(truth)) == 0);
    ::pause();
    ::_exit(0);
  }
  Micros truth[2];
  REQUIRE(::read(ready[0], truth, sizeof(truth)) == static_cast<ssize_t>(sizeof(truth)));
  const auto table = look(**source);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  REQUIRE(table);
  const auto* reading = table->find(child);
  REQUIRE(reading != nullptr);
  CHECK(reading->name.view() == ") a\nb (");
  CHECK(std::chrono::abs(reading->own.since_start() - truth[0]) <= 30ms);
  CHECK(std::chrono::abs((reading->with_reaped - reading->own).micros() - truth[1]) <= 30ms);
  // It was born since the look before, without any slack.
  CHECK(reading->key.start >= before->moment().boot);
  CHECK(table->find(before->find(::getpid())->key) != nullptr);
  const auto after = look(**source);
  REQUIRE(after);
  CHECK(after->find(child) == nullptr);
}

TEST_CASE("a process that may not be traced has its owner all the same") {
  constexpr uid_t kNobody = 65534;
  const uid_t owner = ::geteuid() == 0 ? kNobody : ::geteuid();
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool changed = ::setresuid(owner, owner, owner) == 0 && ::prctl(PR_SET_DUMPABLE, 0) == 0;
    static_cast<void>(::write(ready[1], changed ? "y" : "n", 1) == 1);
    ::pause();
    ::_exit(0);
  }
  char changed = 0;
  REQUIRE(::read(ready[0], &changed, 1) == 1);
  struct stat about {};
  const auto file = "/proc/" + std::to_string(child) + "/stat";
  const bool looked_at = ::stat(file.c_str(), &about) == 0;
  const auto source = make_procfs_source();
  REQUIRE(source);
  const auto table = look(**source);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  REQUIRE(changed == 'y');
  REQUIRE(looked_at);
  REQUIRE(about.st_uid == 0);  // what the owner must not be taken from
  REQUIRE(table);
  REQUIRE(table->find(child) != nullptr);
  CHECK(table->find(child)->owner == owner);
}

TEST_CASE_METHOD(FakeProc, "what is kept open is read anew at each look, and let go with its process") {
  const auto source = make_procfs_source({.root = dir.path(), .self = 42});
  REQUIRE(source);
  for (Pid pid = 100; pid < 150; ++pid) {
    add(pid, stat_line(pid, "first"));
  }
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  const auto at_first = open_files();
  REQUIRE(::look(**source)->size() == 51);
  CHECK(open_files() == at_first + 51);
  for (Pid pid = 100; pid < 150; ++pid) {
    if (pid % 2 == 0) {
      std::filesystem::remove_all(dir / std::to_string(pid));
    } else {
      add(pid, stat_line(pid, "second"));
    }
  }
  add(200, stat_line(200, "new"));
  const auto table = ::look(**source);
  REQUIRE(table);
  CHECK(table->size() == 27);
  CHECK(table->find(101)->name.view() == "second");
  CHECK(table->find(200)->name.view() == "new");
  CHECK(open_files() == at_first + 27);
}

TEST_CASE_METHOD(FakeProc, "when descriptors run short the kept ones are given up, and the look is whole") {
  for (Pid pid = 100; pid < 200; ++pid) {
    add(pid, stat_line(pid, "work"));
  }
  const auto source = make_procfs_source({.root = dir.path(), .self = 42});
  REQUIRE(source);
  REQUIRE(::look(**source)->size() == 101);
  for (Pid pid = 200; pid < 300; ++pid) {
    add(pid, stat_line(pid, "more"));
  }
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  auto tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free);
  ::setrlimit(RLIMIT_NOFILE, &tight);
  const auto starved = ::look(**source);
  const auto again = ::look(**source);
  ::setrlimit(RLIMIT_NOFILE, &before);
  REQUIRE(starved);
  CHECK(starved->size() == 201);
  REQUIRE(again);
  CHECK(again->size() == 201);
}
