#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "collector/discovery/discovery.h"
#include "tests/collector/discovery/fake_home.h"
#include "tests/support/counted_calls.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

CountedCalls calls_of(Discovery& discovery, Depth depth = Depth::changed,
                      const std::vector<std::string>& changed = {}) {
  static_cast<void>(take_counted_calls());
  static_cast<void>(discovery.refresh(depth, wall(), {.changed = changed, .unwatched = {}}));
  return take_counted_calls();
}

}  // namespace

TEST_CASE("files are opened again only when they changed") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  const CountedCalls first = calls_of(discovery);
  CHECK(first.opened.at("registry.json") == 1);
  CHECK(first.opened.at("config.json") == 1);
  CHECK(first.opened.at("a.json") == 1);
  CHECK(calls_of(discovery).opened.empty());
  CHECK(calls_of(discovery, Depth::folders).opened.empty());

  home.write_session(path, "a", "running", R"(,"x":1)");
  const CountedCalls session = calls_of(discovery);
  CHECK(session.opened.size() == 1);
  CHECK(session.opened.at("a.json") == 1);
  home.write_registry();
  CHECK(calls_of(discovery).opened.size() == 1);
  write_file(path + "/.instar/config.json", "half writ");
  CHECK(calls_of(discovery).opened.size() == 1);
  CHECK(calls_of(discovery).opened.empty());  // a bad file too is read once
}

TEST_CASE("hundreds of ended session files cost nothing at a tick, and are not read again when the folder is listed") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  home.write_session(path, "live", "running");
  Discovery discovery(home.options());
  static_cast<void>(calls_of(discovery));
  const int without = calls_of(discovery).all;

  for (int i = 0; i < 300; ++i) home.write_session(path, "ended" + std::to_string(i), "completed");
  CHECK(calls_of(discovery).opened.size() == 300);
  const CountedCalls tick = calls_of(discovery);
  CHECK(tick.all == without);
  CHECK(tick.opened.empty());
  CHECK(tick.stats.count("ended7.json") == 0);
  CHECK(tick.stats.at("live.json") == 1);

  const CountedCalls listing = calls_of(discovery, Depth::changed, {path + "/.instar/state/sessions"});
  CHECK(listing.opened.empty());
  CHECK(listing.stats.at("ended7.json") == 1);

  home.write_session(path, "ended7", "failed");
  const CountedCalls rewritten = calls_of(discovery, Depth::folders);
  CHECK(rewritten.opened.size() == 1);
  CHECK(calls_of(discovery).all == without);

  home.write_session(path, "live", "completed");
  CHECK(calls_of(discovery).opened.size() == 1);
  CHECK(calls_of(discovery, Depth::folders).opened.empty());
}

TEST_CASE("where all is watched a look at what is told costs nothing for those of whom nothing is told") {
  FakeHome home;
  const std::string path = home.add("echo");
  for (int i = 0; i < 20; ++i) {
    const std::string other = home.add("quiet" + std::to_string(i));
    home.write_session(other, "a", "running");
  }
  home.write_session(path, "a", "running");
  home.write_registry();
  Discovery discovery(home.options());
  static_cast<void>(calls_of(discovery, Depth::folders));
  CHECK(calls_of(discovery, Depth::told).all == 0);
  home.write_session(path, "a", "running", R"(,"x":1)");
  const CountedCalls told = calls_of(discovery, Depth::told, {path + "/.instar/state/sessions"});
  CHECK(told.opened.size() == 1);
  CHECK(told.stats.size() <= 2);
  home.write_registry();  // with other heartbeats
  const CountedCalls heartbeats = calls_of(discovery, Depth::told, {home.path() + "/.instar"});
  CHECK(heartbeats.opened.size() == 1);
  CHECK(heartbeats.all < 10);
}

TEST_CASE("a registry was looked at for ever at each tick because the legacy one before it had been young") {
  FakeHome home;
  const std::string legacy = home.path() + "/.instar/port-registry.json";
  write_file(legacy, R"({"entries":[]})");
  Discovery discovery(home.options());
  static_cast<void>(discovery.refresh(Depth::folders, wall(std::chrono::seconds{0})));  // it is young
  home.add("echo");
  home.write_registry();
  static_cast<void>(calls_of(discovery, Depth::changed));
  CHECK(calls_of(discovery, Depth::told).all == 0);
}

TEST_CASE("a new file in a folder is found without a watch, at the next tick") {
  FakeHome home;
  const std::string path = home.add("echo");
  home.write_registry();
  for (int i = 0; i < 10; ++i) home.write_session(path, "ended" + std::to_string(i), "completed");
  Discovery discovery(home.options());
  static_cast<void>(calls_of(discovery));
  home.write_session(path, "new", "running");
  CHECK(calls_of(discovery).opened.size() == 1);
}

TEST_CASE("a tick looks at no session file of an agent that is not metered") {
  FakeHome home;
  const std::string path = home.add("echo", "{}");
  home.write_registry();
  home.write_session(path, "a", "running");
  Discovery discovery(home.options());
  CHECK(calls_of(discovery).stats.count("a.json") == 0);
}
