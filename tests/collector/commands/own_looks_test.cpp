#include "collector/commands/own_looks.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>

#include "tests/collector/discovery/fake_home.h"
#include "tests/support/program.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;

TEST_CASE("looks of our own, where nothing is watched, saw what changed in agents' files after ten minutes only") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.add("scout");
  home.write_registry();
  TestLoop loop;
  Setup setup;
  setup.places.home = home.path();
  auto looks = OwnLooks::open(loop.get(), setup);
  REQUIRE(looks);
  const auto look = [&] {
    std::optional<Result<ApiState>> state;
    (*looks)->look([&](Result<ApiState> made) { state = std::move(made); });
    loop.await([&] { return state.has_value(); });
    REQUIRE(*state);
    return (*state)->fleet;
  };
  CHECK(look()->agents.at(0).live_sessions.empty());
  // A look goes on without the files that a busy host is slow to read: one of the next has them.
  home.write_session(path, "a", "running");
  CHECK(test::await([&] { return look()->agents.at(0).live_sessions.size() == 1; }));
  home.entries.pop_back();
  home.write_registry();
  CHECK(test::await([&] { return look()->agents.size() == 1; }));
}
