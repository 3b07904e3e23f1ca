#include <catch2/catch.hpp>

#include "collector/discovery/safe_file.h"
#include "tests/collector/discovery/fake_home.h"
#include "tests/support/swapper.h"

using namespace fleetledger;
using namespace fleetledger::test;
namespace fs = std::filesystem;

namespace {

/// So many rounds in which both was seen: what is there, and the link in its place.
constexpr int kRounds = 2'000;

}  // namespace

TEST_CASE("a folder above that was swapped for a link was followed to somebody else's file") {
  const TempDir temporary;
  const auto base = fs::canonical(temporary.path()).string();
  write_file(base + "/agents/echo/file", "inside");
  write_file(base + "/outside/echo/file", "outside");
  fs::create_directory_symlink(base + "/outside", base + "/link");
  const Swapper swapper(base + "/agents", base + "/link");
  int seen = 0;
  int refused = 0;
  for (long round = 0; seen < kRounds || refused < kRounds; ++round) {
    const auto folder = Folder::open(base + "/agents/echo");
    if (!folder || !*folder) {
      ++refused;
      continue;
    }
    const auto file = (*folder)->read("file", {.size = 100, .user = ::geteuid()});
    REQUIRE(file);
    REQUIRE(*file);
    if ((*file)->text != "inside") {
      FAIL("read through a link after " << round << " rounds: " << (*file)->text);
    }
    ++seen;
  }
}

TEST_CASE("nothing outside is taken for an agent's while its folders and files are swapped for links") {
  FakeHome home;
  // Outside everything is otherwise: an open gate, another name, another live session.
  const auto echo = home.add("echo", R"({"developmentAgent":false,"projectName":"inside"})");
  home.write_session(echo, "inside", "running");
  home.write_registry();
  const auto outside = home.path() + "/outside";
  write_file(outside + "/.instar/config.json", R"({"developmentAgent":true,"projectName":"outside"})");
  home.write_session(outside, "outside", "running");
  write_file(outside + "/.instar/registry.json",
             R"({"version":1,"entries":[{"name":"outside","path":")" + outside + "\"}]}");

  for (const std::string part :
       {"/agents/echo/.instar", "/agents/echo/.instar/config.json", "/agents/echo/.instar/state",
        "/agents/echo/.instar/state/sessions", "/agents/echo/.instar/state/sessions/inside.json", "/.instar",
        "/.instar/registry.json"}) {
    CAPTURE(part);
    auto target = outside + part.substr(part.find("/.instar"));
    if (target.ends_with("inside.json")) target = home.session_path(outside, "outside");
    const auto link = home.path() + "/link";
    fs::create_symlink(target, link);
    Discovery discovery(home.options());
    REQUIRE(agent_at(*discovery.refresh(Depth::folders, wall()), echo) != nullptr);
    {
      const Swapper swapper(home.path() + part, link);
      for (int round = 0; round < 300 || swapper.swaps() < 300; ++round) {
        const auto fleet = discovery.refresh(Depth::folders, wall());
        REQUIRE(fleet->agents.size() == 1);
        CHECK_FALSE(fleet->agents[0].metered());
        CHECK(fleet->agents[0].identity.name == "echo");
        CHECK(fleet->access[0].project_name != "outside");
        for (const auto& session : fleet->agents[0].live_sessions) CHECK(session.id == "inside");
      }
    }
    fs::remove(link);
  }
}
