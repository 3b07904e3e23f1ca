#include "collector/commands/state_folder.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::test;
namespace fs = std::filesystem;

namespace {

std::string refusal(const Result<void>& made) { return made ? "" : made.error().text; }
std::string refusal(const Result<WriterLock>& taken) { return taken ? "" : taken.error().text; }
std::string text_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A kind of thing that can stand where a file or a folder of ours should.
struct Obstacle {
  std::string what;
  std::function<bool(const std::string& path, const std::string& victim)> put;  ///< false: it cannot be made here
};

const std::vector<Obstacle> kObstacles{
    {"a link", [](auto& path, auto& victim) { return ::symlink(victim.c_str(), path.c_str()) == 0; }},
    {"a link to nothing", [](auto& path, auto&) { return ::symlink("/nowhere/at/all", path.c_str()) == 0; }},
    {"a link to itself", [](auto& path, auto&) { return ::symlink(path.c_str(), path.c_str()) == 0; }},
    {"a further name of a file", [](auto& path, auto& victim) { return ::link(victim.c_str(), path.c_str()) == 0; }},
    {"a FIFO", [](auto& path, auto&) { return ::mkfifo(path.c_str(), 0600) == 0; }},
    {"a device", [](auto& path, auto&) { return ::mknod(path.c_str(), S_IFCHR | 0600, ::makedev(1, 5)) == 0; }},
    {"a socket",
     [](auto& path, auto&) {
       sockaddr_un name{};
       name.sun_family = AF_UNIX;
       path.copy(name.sun_path, sizeof name.sun_path - 1);
       const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
       const bool made = ::bind(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
       ::close(socket);
       return made;
     }},
    {"another user's file",
     [](auto& path, auto&) {
       fs::copy_file("/etc/passwd", path);
       return ::chown(path.c_str(), 65534, 65534) == 0;
     }},
};

}  // namespace

TEST_CASE("what stands in the lock's place is not taken for it, not waited for and not written") {
  for (const auto& obstacle : kObstacles) {
    CAPTURE(obstacle.what);
    const TempDir folder;
    const auto victim = folder.write("victim", "untouched");
    const auto path = folder / "fleetledger.lock";
    if (!obstacle.put(path, victim)) continue;
    const auto before = fs::is_regular_file(fs::symlink_status(path)) ? text_of_file(path) : "";
    CHECK(contains(refusal(WriterLock::take(folder.path())), "take the lock " + path));
    CHECK(text_of_file(victim) == "untouched");
    if (!before.empty()) CHECK(text_of_file(path) == before);
    const auto holder = last_lock_holder(folder.path());
    CHECK_FALSE(holder);
    fs::remove(path);
    CHECK(refusal(WriterLock::take(folder.path())) == "");
  }
}

TEST_CASE("who holds the lock says where it listens, and only a whole file of ours is believed") {
  const TempDir folder;
  auto lock = WriterLock::take(folder.path());
  REQUIRE(lock);
  const std::vector<std::uint64_t> sockets{12345, 18446744073709551615U};
  REQUIRE(lock->note(sockets));
  auto holder = last_lock_holder(folder.path());
  REQUIRE(holder);
  CHECK(holder->process.pid == ::getpid());
  CHECK(holder->process.start > BootTime{});
  CHECK(holder->listeners == sockets);

  for (const std::string text : {"", "x", "-5\n7\n", "0\n7\n", "99999999999999999999\n7\n", "12\n", "12\nx\n"}) {
    CAPTURE(text);
    folder.write("fleetledger.lock", text, 0600);
    CHECK_FALSE(last_lock_holder(folder.path()));
  }
  folder.write("fleetledger.lock", "12\n34\n" + std::string(1 << 20U, '7'), 0600);
  CHECK(last_lock_holder(folder.path())->process.pid == 12);
}

TEST_CASE("what stands in the state folder's place is refused, and so is a folder that others may write") {
  for (const auto& obstacle : kObstacles) {
    CAPTURE(obstacle.what);
    const TempDir folder;
    const auto victim = folder.write("victim", "untouched");
    const auto path = folder / "state";
    if (!obstacle.put(path, victim)) continue;
    CHECK(contains(refusal(make_state_folder(path)), "make the state folder " + path));
    CHECK(contains(refusal(check_state_folder(path)), "use the state folder " + path));
    CHECK(text_of_file(victim) == "untouched");
  }
  const TempDir folder;
  fs::create_directory(folder / "elsewhere");
  fs::create_directory_symlink(folder / "elsewhere", folder / "link");
  CHECK(contains(refusal(make_state_folder(folder / "link")), "something else in its place"));
  for (const mode_t mode : {0770U, 0702U, 0777U}) {
    fs::create_directory(folder / "loose");
    REQUIRE(::chmod((folder / "loose").c_str(), mode) == 0);
    CHECK(contains(refusal(make_state_folder(folder / "loose")), "chmod 700"));
    CHECK(contains(refusal(check_state_folder(folder / "loose")), "chmod 700"));
    fs::remove(folder / "loose");
  }
  CHECK(refusal(check_state_folder(folder / "a/b/state")) == "");
  CHECK_FALSE(fs::exists(folder / "a"));
  CHECK(refusal(make_state_folder(folder / "a/b/state")) == "");
  CHECK(refusal(check_state_folder(folder / "a/b/state")) == "");
  struct stat found {};
  REQUIRE(::stat((folder / "a/b/state").c_str(), &found) == 0);
  CHECK((found.st_mode & 07777U) == 0700);
}
