#include "collector/sources/environment_source.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/sources/proc_stat.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using fleetledger::test::TempDir;
using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

std::string stat_line(Pid pid, int start_ticks) {
  return std::to_string(pid) + " (work) S 1 10 10 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 1 0 " +
         std::to_string(start_ticks) + " 1000 300 18446744073709551615 1 1 0 0 0 0 0\n";
}

/// A /proc of the test's own.
class FakeProc {
 public:
  TempDir dir;

  void add(Pid pid, const std::string& environ, int start_ticks = 1000) const {
    dir.write(std::to_string(pid) + "/stat", stat_line(pid, start_ticks));
    dir.write(std::to_string(pid) + "/environ", environ);
  }
  [[nodiscard]] std::vector<DeclaredProcess> read(const std::vector<ProcessKey>& processes, Micros slack = 0s) const {
    const auto source = make_environment_source(::geteuid(), dir.path());
    REQUIRE(source);
    return source->read(processes, slack);
  }
};

constexpr BootTime kStart{10s};  // 1000 ticks

/// A child with this environment that sleeps; ended with it.
class Sleeper {
 public:
  explicit Sleeper(std::vector<const char*> environment) {
    environment.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char* const arguments[] = {"sleep", "60", nullptr};
      ::execve("/bin/sleep", const_cast<char**>(arguments), const_cast<char**>(environment.data()));
      ::_exit(127);
    }
    const auto proc = "/proc/" + std::to_string(pid_);
    for (std::string comm; comm != "sleep"; std::getline(std::ifstream(proc + "/comm") >> std::ws, comm)) {
    }
    // It has its name a moment before it has its environment.
    while (std::ifstream(proc + "/environ").peek() == std::ifstream::traits_type::eof()) {
    }
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  [[nodiscard]] ProcessKey key() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
    std::string line;
    std::getline(file, line);
    return {pid_, BootTime{ticks_to_micros(parse_proc_stat(line + '\n')->start_ticks)}};
  }

 private:
  pid_t pid_ = 0;
};

/// Whether these bytes stand in what this program can write, but for its stack. Copies nothing off the stack itself.
bool is_in_memory(std::string_view wanted) {
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(std::fopen("/proc/self/maps", "re"), std::fclose);
  std::array<char, 512> line{};
  std::array<char, 65536> bytes{};
  bool found = false;
  while (std::fgets(line.data(), line.size(), maps.get()) != nullptr) {
    std::size_t from = 0;
    std::size_t to = 0;
    std::array<char, 5> access{};
    const std::string_view map(line.data());
    if (std::sscanf(line.data(), "%zx-%zx %4s", &from, &to, access.data()) != 3 || access[0] != 'r' ||
        access[1] != 'w' || map.find("[stack]") != std::string_view::npos || to - from > (std::size_t{64} << 20U)) {
      continue;
    }
    for (auto at = from; at < to; at += bytes.size() - wanted.size()) {
      const auto got = ::pread(memory, bytes.data(), std::min(bytes.size(), to - at), static_cast<off_t>(at));
      found = found || (got > 0 && std::string_view(bytes.data(), static_cast<std::size_t>(got)).find(wanted) !=
                                       std::string_view::npos);
    }
  }
  ::close(memory);
  return found;
}

}  // namespace

TEST_CASE("of an environment three variables are kept, the first of each name, and only what is whole") {
  struct Row {
    std::string_view environment;
    Declaration says;
  };
  const std::vector<Row> table{
      {"", {}},
      {"PATH=/bin\0INSTAR_AGENT_HOME=/a b\0INSTAR_AUTH_TOKEN=secret\0INSTAR_AGENT_ID=echo\0INSTAR_SESSION_ID=s1\0"sv,
       {"/a b", "echo", "s1"}},
      {"INSTAR_AGENT_ID=first\0INSTAR_AGENT_ID=second\0"sv, {"", "first", ""}},
      {"INSTAR_AGENT_ID=\0INSTAR_AGENT_ID=second\0"sv, {}},
      {"INSTAR_AGENT_ID=a=b\nc\xff\0"sv, {"", "a=b\nc\xff", ""}},
      {"INSTAR_AGENT_ID=whole\0INSTAR_SESSION_ID=cut of"sv, {"", "whole", ""}},
      {"XINSTAR_AGENT_ID=no\0INSTAR_AGENT_IDX=no\0INSTAR_AGENT_ID\0instar_agent_id=no\0"sv, {}},
      {"\0\0\0=\0INSTAR_AGENT_ID=echo\0"sv, {"", "echo", ""}},
  };
  for (const auto& row : table) {
    INFO(row.environment);
    CHECK(parse_environment(row.environment) == row.says);
  }
  CHECK(parse_environment("INSTAR_AGENT_ID=" + std::string(5'000, 'x') + '\0').agent_id.empty());
  CHECK(Declaration{"", "", "s1"}.empty());
}

TEST_CASE_METHOD(FakeProc, "processes that are gone or others by now say nothing") {
  add(10, "INSTAR_AGENT_ID=echo\0"s);
  add(11, "PATH=/bin\0"s);
  const auto all = read({{10, kStart}, {11, kStart}, {12, kStart}});
  REQUIRE(all.size() == 1);
  CHECK(all.front().process == ProcessKey{10, kStart});
  CHECK(all.front().says == Declaration{"", "echo", ""});

  CHECK(read({{10, kStart - 10ms}}).empty());
  CHECK(read({{10, kStart - 2s}}, 2s).size() == 1);
  CHECK(read({{10, kStart + 2s}}, 2s).size() == 1);
  CHECK(read({{10, kStart + 2'000'001us}}, 2s).empty());

  std::filesystem::rename(dir / "10", dir / "20");
  std::filesystem::create_directory_symlink(dir / "20", dir / "10");
  CHECK(read({{10, kStart}}).empty());
  CHECK(make_environment_source(::geteuid(), dir / "missing") == nullptr);
  const auto of_another_user = make_environment_source(::geteuid() + 1, dir.path());
  add(30, "INSTAR_AGENT_ID=echo\0"s);
  CHECK(of_another_user->read(std::vector<ProcessKey>{{30, kStart}}, 0s).empty());
}

TEST_CASE_METHOD(FakeProc, "an environment is read up to a limit, and what one says is not another's") {
  const std::string filler = "X=" + std::string(128 * 1024, 'x') + '\0';
  add(10, "INSTAR_AGENT_HOME=/a\0"s + filler + "INSTAR_AGENT_ID=echo\0"s);
  add(11, "INSTAR_SESSION_ID=s2\0INSTAR_AGENT_ID=two\0"s);
  const auto all = read({{10, kStart}, {11, kStart}});
  REQUIRE(all.size() == 2);
  CHECK(all[0].says == Declaration{"/a", "", ""});
  CHECK(all[1].says == Declaration{"", "two", "s2"});
}

TEST_CASE("a real process says what it was started with; one that may not be read says nothing") {
  const auto source = make_environment_source(::geteuid());
  REQUIRE(source);
  const Sleeper sleeper({"INSTAR_AUTH_TOKEN=secret", "INSTAR_AGENT_HOME=/agents/echo", "INSTAR_SESSION_ID=s1"});
  const auto declared = source->read(std::vector{sleeper.key()}, 0s);
  REQUIRE(declared.size() == 1);
  CHECK(declared.front().says == Declaration{"/agents/echo", "", "s1"});

  // pid 1 is another user's, or has none of these.
  CHECK(source->read(std::vector<ProcessKey>{{1, BootTime{}}}, 1h).empty());
}

TEST_CASE("nothing else of an environment stays behind in memory") {
  const auto source = make_environment_source(::geteuid());
  REQUIRE(source);
  std::array<char, 64> variable{};  // on the stack, which is not searched
  const auto length = static_cast<std::size_t>(
      std::snprintf(variable.data(), variable.size(), "INSTAR_AUTH_TOKEN=%d.%d", ::getpid(), ::getpid() * 31));
  {
    const Sleeper sleeper({variable.data(), "INSTAR_AGENT_ID=echo"});
    REQUIRE(source->read(std::vector{sleeper.key()}, 0s).size() == 1);
  }
  const std::string_view secret(variable.data(), length);
  CHECK_FALSE(is_in_memory(secret));
  const std::string copy(secret);
  CHECK(is_in_memory(secret));
}
