#include "config/paths.h"

#include <catch2/catch.hpp>

namespace fleetledger {
namespace {

TEST_CASE("without XDG variables the user's places are below the home") {
  CHECK(user_paths({.home_option = "", .home = "/home/ada", .xdg_config_home = "", .xdg_state_home = ""}).value() ==
        UserPaths{.home = "/home/ada",
                  .config_file = "/home/ada/.config/fleetledger/config.yaml",
                  .state = "/home/ada/.local/state/fleetledger"});
}

TEST_CASE("XDG variables move the user's places") {
  CHECK(
      user_paths({.home_option = "", .home = "/home/ada/", .xdg_config_home = "/etc/ada/", .xdg_state_home = "/var/a"})
          .value() ==
      UserPaths{.home = "/home/ada", .config_file = "/etc/ada/fleetledger/config.yaml", .state = "/var/a/fleetledger"});
}

TEST_CASE("a relative XDG variable is not looked at") {
  const UserPaths paths =
      user_paths({.home_option = "", .home = "/home/ada", .xdg_config_home = "conf", .xdg_state_home = "../state"})
          .value();
  CHECK(paths.config_file == "/home/ada/.config/fleetledger/config.yaml");
  CHECK(paths.state == "/home/ada/.local/state/fleetledger");
}

TEST_CASE("--home stands in for the home, and nothing of the real user's places shines through") {
  CHECK(user_paths({.home_option = "/tmp/demo", .home = "/home/ada", .xdg_config_home = "/c", .xdg_state_home = "/s"})
            .value() == UserPaths{.home = "/tmp/demo",
                                  .config_file = "/tmp/demo/.config/fleetledger/config.yaml",
                                  .state = "/tmp/demo/.local/state/fleetledger"});
}

TEST_CASE("without an absolute home there are no places") {
  CHECK_FALSE(user_paths({}).has_value());
  CHECK_FALSE(
      user_paths({.home_option = "", .home = "ada", .xdg_config_home = "/c", .xdg_state_home = "/s"}).has_value());
  CHECK_FALSE(user_paths({.home_option = "demo", .home = "/home/ada", .xdg_config_home = "", .xdg_state_home = ""})
                  .has_value());
}

TEST_CASE("a home of / makes no double slashes") {
  const UserPaths paths =
      user_paths({.home_option = "", .home = "/", .xdg_config_home = "", .xdg_state_home = ""}).value();
  CHECK(paths.home == "/");
  CHECK(paths.state == "/.local/state/fleetledger");
  CHECK(expand_path("~/x", paths) == "/x");
}

TEST_CASE("the home and the state folder are expanded at the start of a path only") {
  const UserPaths paths{.home = "/home/ada", .config_file = "", .state = "/var/state"};
  CHECK(expand_path("~", paths) == "/home/ada");
  CHECK(expand_path("~/a/~", paths) == "/home/ada/a/~");
  CHECK(expand_path("<state>", paths) == "/var/state");
  CHECK(expand_path("<state>/ledgers", paths) == "/var/state/ledgers");
  CHECK(expand_path("~bob/x", paths) == "~bob/x");
  CHECK(expand_path("<state>ful", paths) == "<state>ful");
  CHECK(expand_path("/srv/~/x", paths) == "/srv/~/x");
  CHECK(expand_path("", paths).empty());
}

}  // namespace
}  // namespace fleetledger
