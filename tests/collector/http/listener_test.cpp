#include "collector/http/listener.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::test;
using Catch::Matchers::Contains;

namespace {

/// A socket file as a server leaves it behind that was killed.
void leave_socket(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
  REQUIRE(::listen(socket, 1) == 0);
  ::close(socket);
}

Error error_of(const std::string& address, bool allow_remote = false) {
  const auto listener = Listener::open(address, allow_remote);
  REQUIRE_FALSE(listener);
  CHECK_THAT(listener.error().text, Contains(address));
  return listener.error();
}

}  // namespace

TEST_CASE("Any free port is taken for port 0, and said") {
  const auto v4 = Listener::open("127.0.0.1:0", false);
  REQUIRE(v4);
  CHECK(v4->address().starts_with("127.0.0.1:"));
  CHECK(std::stoi(v4->address().substr(10)) > 0);
  const auto v6 = Listener::open("[::1]:0", false);
  REQUIRE(v6);
  CHECK(std::stoi(v6->address().substr(6)) > 0);
}

TEST_CASE("A taken port is an error that names it") {
  const auto first = Listener::open("127.0.0.1:0", false);
  REQUIRE(first);
  const std::string port = first->address().substr(10);
  const Error error = error_of(first->address());
  CHECK(error.kind == Error::Kind::busy);
  CHECK_THAT(error.text, Contains("port " + port + " is taken"));
}

TEST_CASE("A port is free again when its listener has gone") {
  std::string address;
  {
    const auto first = Listener::open("127.0.0.1:0", false);
    REQUIRE(first);
    address = first->address();
  }
  CHECK(Listener::open(address, false));
}

TEST_CASE("What is not an address is refused") {
  const auto text = GENERATE(
      values<std::string>({"", "4100", ":4100", "localhost:4100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                           "127.0.0.1:-1", "127.0.0.1:41x", "127.0.0.1: 4100", "::1:4100", "[::1]", "[::1]4100",
                           "[127.0.0.1]:4100", "unix:", "unix:sock", "unix:/", "unix:/tmp/", "http://127.0.0.1:4100"}));
  INFO(text);
  CHECK(error_of(text).kind == Error::Kind::invalid);
}

TEST_CASE("An address that other hosts can reach must have been allowed") {
  CHECK_THAT(error_of("0.0.0.0:0").text, Contains("other hosts"));
  CHECK_THAT(error_of("[::]:0").text, Contains("other hosts"));
  CHECK_THAT(error_of("192.0.2.1:0").text, Contains("other hosts"));
}

TEST_CASE("A Unix socket can be used by its owner only, and goes with its listener") {
  const TempDir dir;
  const std::string path = dir / "sock";
  {
    const mode_t before = ::umask(0);
    const auto listener = Listener::open("unix:" + path, false);
    ::umask(before);
    REQUIRE(listener);
    CHECK(listener->address() == "unix:" + path);
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    CHECK(S_ISSOCK(status.st_mode));
    CHECK((status.st_mode & 07777) == 0600);
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("What a dead server left is replaced; a live one is left alone") {
  const TempDir dir;
  const std::string path = dir / "sock";
  leave_socket(path);
  const auto listener = Listener::open("unix:" + path, false);
  REQUIRE(listener);
  const Error error = error_of("unix:" + path);
  CHECK(error.kind == Error::Kind::busy);
  CHECK(std::filesystem::is_socket(path));
}

TEST_CASE("A listener removes no file but its own") {
  const TempDir dir;
  const std::string path = dir / "sock";
  {
    const auto listener = Listener::open("unix:" + path, false);
    REQUIRE(listener);
    std::filesystem::rename(path, dir / "aside");
    dir.write("sock", "somebody else's");
  }
  CHECK(std::filesystem::is_regular_file(path));
}

TEST_CASE("A Unix socket replaces nothing but a socket") {
  const TempDir dir;
  const std::string file = dir.write("file", "kept");
  CHECK_THAT(error_of("unix:" + file).text, Contains("not a socket"));
  CHECK(std::filesystem::file_size(file) == 4);
  leave_socket(dir / "old");
  std::filesystem::create_symlink(dir / "old", dir / "link");
  CHECK_THAT(error_of("unix:" + (dir / "link")).text, Contains("not a socket"));
}

TEST_CASE("A Unix socket stands in a folder that nobody else may write") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "open");
  ::chmod((dir / "open").c_str(), 0777);
  CHECK_THAT(error_of("unix:" + (dir / "open/sock")).text, Contains("folder"));
  CHECK_THAT(error_of("unix:" + (dir / "missing/sock")).text, Contains("folder"));
  CHECK_THAT(error_of("unix:" + (dir / std::string(120, 'x'))).text, Contains("longer than"));
}

TEST_CASE("Programs that we start do not inherit a listener") {
  const auto listener = Listener::open("127.0.0.1:0", false);
  REQUIRE(listener);
  CHECK((::fcntl(listener->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
}
