#include "collector/service_manager.h"

#include <catch2/catch.hpp>
#include <cstdlib>

#include "tests/support/notify_socket.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace std::chrono_literals;
using Messages = std::vector<std::string>;

namespace {

ServiceManager started_by(const std::string& socket, const std::string& watchdog = "", const std::string& pid = "") {
  setenv("NOTIFY_SOCKET", socket.c_str(), 1);
  setenv("WATCHDOG_USEC", watchdog.c_str(), 1);
  setenv("WATCHDOG_PID", pid.c_str(), 1);
  return ServiceManager::from_environment();
}

}  // namespace

TEST_CASE("a service manager is told the start once, reloads with their time, and the end") {
  const test::TempDir folder;
  const bool by_path = GENERATE(true, false);
  const auto name = by_path ? folder / "notify" : "@fleetledger-test-" + std::to_string(getpid());
  test::NotifySocket socket(name);
  auto manager = started_by(name);
  CHECK(getenv("NOTIFY_SOCKET") == nullptr);
  manager.starting(90s);
  manager.reloading(MonotonicTime{5s});  // the start is not over: it would be by the end of this
  manager.status("metering");
  CHECK_FALSE(manager.is_ready());
  manager.ready();
  manager.ready();
  manager.status("metering");
  manager.starting(90s);
  manager.reloading(MonotonicTime{7s});
  manager.status("two\nlines");
  manager.ready();
  auto moved = std::move(manager);
  moved.ready();
  moved.alive();
  moved.stopping();
  CHECK(socket.messages() == Messages{"EXTEND_TIMEOUT_USEC=90000000", "STATUS=metering", "READY=1",
                                      "RELOADING=1\nMONOTONIC_USEC=7000000", "STATUS=two?lines", "READY=1",
                                      "WATCHDOG=1", "STOPPING=1\nSTATUS=stopping"});
}

TEST_CASE("the watchdog is fed only by the process that it watches") {
  const test::TempDir folder;
  test::NotifySocket socket(folder / "notify");
  const auto us = std::to_string(getpid());
  CHECK(started_by(socket.name(), "30000000", us).watchdog() == Micros{30s});
  CHECK(started_by(socket.name(), "30000000").watchdog() == Micros{30s});
  CHECK_FALSE(started_by(socket.name(), "30000000", std::to_string(getppid())).watchdog());
  CHECK_FALSE(started_by(socket.name(), "", us).watchdog());
  CHECK_FALSE(started_by(socket.name(), "0", us).watchdog());
  CHECK_FALSE(started_by(socket.name(), "-1", us).watchdog());
  CHECK_FALSE(started_by("", "30000000", us).watchdog());
  CHECK(getenv("WATCHDOG_USEC") == nullptr);
  CHECK(getenv("WATCHDOG_PID") == nullptr);
}

TEST_CASE("where there is no service manager nothing is told, and nothing waits for one that does not listen") {
  const test::TempDir folder;
  for (const auto& name : {std::string(), std::string("@"), std::string("relative"), folder / "nobody",
                           "/" + std::string(200, 'x'), std::string("vsock:2:1")}) {
    auto manager = started_by(name);
    manager.ready();
    manager.stopping();
    CHECK(manager.is_ready());
  }
  test::NotifySocket socket(folder / "slow");
  auto manager = started_by(socket.name());
  for (int i = 0; i < 10'000; ++i) {  // more than the kernel keeps for one who does not read
    manager.alive();
  }
  CHECK(socket.count("WATCHDOG=1") > 0);
}
