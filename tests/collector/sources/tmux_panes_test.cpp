#include "collector/sources/tmux_panes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/sources/child.h"
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
  std::string tmux = find_program("tmux").value();
  Pid server = 0;

  ~Fixture() {
    if (server > 0) {
      ::kill(server, SIGKILL);
    }
  }

  Result<std::vector<Pane>> list(const std::string& program) {
    const auto source = make_tmux_source(loop.get(), {.program = program, .socket_dir = dir.path(), .timeout = 20s});
    std::optional<Result<std::vector<Pane>>> result;
    source->list([&](Result<std::vector<Pane>> panes) { result = std::move(panes); });
    loop.await([&] { return result.has_value(); });
    return std::move(*result);
  }
  /// Runs tmux on this test's own server.
  std::string run_tmux(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "-u");
    ChildRunner runner(loop.get());
    std::optional<Result<ChildExit>> result;
    runner.run({.program = tmux,
                .arguments = std::move(arguments),
                .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TERM=dumb", "TMUX_TMPDIR=" + dir.path()},
                .timeout = 20s},
               [&](Result<ChildExit> exit) { result = std::move(exit); });
    loop.await([&] { return result.has_value(); });
    REQUIRE(*result);
    INFO((*result)->reason);
    REQUIRE((*result)->status == 0);
    return (*result)->output;
  }
  void new_session(const std::string& name) {
    run_tmux({"new-session", "-d", "-s", name, "exec sleep 1000"});
    server = std::stoi(run_tmux({"display-message", "-p", "#{pid}"}));
  }
};

std::vector<std::string> names(const std::vector<Pane>& panes) {
  std::vector<std::string> result;
  for (const auto& pane : panes) {
    result.push_back(pane.session);
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

TEST_CASE("pane lines are read with the name as the rest of the line") {
  const auto panes = parse_panes("12 34 0 a b\n12 35 1  lead ] 9 9 0 x\n12 -1 0 n\n");
  REQUIRE(panes);
  REQUIRE(panes->size() == 3);
  CHECK((*panes)[0] == Pane{12, 34, false, "a b"});
  CHECK((*panes)[1] == Pane{12, 35, true, " lead ] 9 9 0 x"});
  CHECK((*panes)[2] == Pane{12, 0, true, "n"});
  CHECK(parse_panes("")->empty());
}

TEST_CASE("pane output that is damaged anywhere is refused whole") {
  const std::string good = "12 34 0 a\n";
  for (const std::string bad :
       {"12 34 0 a", "12 34 0 \n", "12 34\n", "12 34 0\n", "x 34 0 a\n", "12 3x 0 a\n", "12 34 2 a\n", "12 34  a\n",
        "\n", "0 34 0 a\n", "-5 34 0 a\n", "12 99999999999999 0 a\n", " 12 34 0 a\n", "usage: list-panes\n"}) {
    INFO(bad);
    CHECK_FALSE(parse_panes(good + bad));
  }
}

TEST_CASE_METHOD(Fixture, "no tmux server is no pane, whatever is left of an old one") {
  auto panes = list(tmux);
  REQUIRE(panes);
  CHECK(panes->empty());

  // A socket that nobody listens on any more.
  new_session("gone");
  ::kill(server, SIGKILL);
  server = 0;
  do {
    panes = list(tmux);  // until it is dead it may still answer, or break off
  } while (!panes || !panes->empty());
  struct stat about {};
  REQUIRE(::stat((dir / ("tmux-" + std::to_string(::getuid()) + "/default")).c_str(), &about) == 0);
  panes = list(tmux);
  REQUIRE(panes);
  CHECK(panes->empty());
}

TEST_CASE_METHOD(Fixture, "a folder of sockets that is not there is no server, and never another one") {
  const auto source = make_tmux_source(
      loop.get(), {.program = dir.script("tmux", "echo 1 2 0 foreign"), .socket_dir = dir / "missing"});
  std::optional<Result<std::vector<Pane>>> result;
  source->list([&](Result<std::vector<Pane>> panes) { result = std::move(panes); });
  REQUIRE(result);
  REQUIRE(*result);
  CHECK((*result)->empty());
}

TEST_CASE_METHOD(Fixture, "every pane of a real server is listed, with names as tmux keeps them") {
  const std::vector<std::string> plain{"a b", "caf\xc3\xa9 \xe6\x97\xa5", "x] (y) \"z\" $1", "12 34 0 odd"};
  for (const auto& name : plain) {
    new_session(name);
  }
  new_session("tab\there\nline");
  run_tmux({"split-window", "-d", "-t", "=a b:", "exec sleep 1000"});
  const auto panes = list(tmux);
  REQUIRE(panes);
  auto expected = plain;
  expected.push_back("a b");                // two panes
  expected.push_back("tab\\there\\nline");  // tmux's own spelling, in its session list as well
  std::sort(expected.begin(), expected.end());
  CHECK(names(*panes) == expected);
  for (const auto& pane : *panes) {
    CHECK(pane.tmux_server == server);
    CHECK(::kill(pane.pid, 0) == 0);
    CHECK_FALSE(pane.dead);
  }
}

TEST_CASE_METHOD(Fixture, "a pane whose process has ended and that tmux keeps is dead") {
  new_session("holder");
  run_tmux({"set-option", "-g", "remain-on-exit", "on"});
  run_tmux({"new-session", "-d", "-s", "ended", "exit 3"});
  std::optional<Pane> ended;
  while (!ended || !ended->dead) {
    const auto panes = list(tmux);
    REQUIRE(panes);
    const auto found =
        std::find_if(panes->begin(), panes->end(), [](const Pane& pane) { return pane.session == "ended"; });
    REQUIRE(found != panes->end());
    ended = *found;
  }
  CHECK(ended->dead);
}

TEST_CASE_METHOD(Fixture, "a tmux that fails otherwise, hangs or prints rubbish leaves the panes unknown") {
  CHECK_FALSE(list(dir.script("tmux", "echo 'protocol version mismatch (client 8, server 7)' >&2; exit 1")));
  CHECK_FALSE(list(dir.script("tmux", "echo 'error connecting to /x (Permission denied)' >&2; exit 1")));
  CHECK_FALSE(list(dir.script("tmux", "echo 'no server running on /x' >&2; exit 2")));
  CHECK_FALSE(list(dir.script("tmux", "echo 1 2 0 a; exit 1")));
  CHECK_FALSE(list(dir.script("tmux", "echo 1 2 0 a; printf '1 2'")));
  CHECK_FALSE(list(dir / "missing"));
  CHECK(list(dir.script("tmux", "echo 1 2 0 a"))->size() == 1);
}
