#include "collector/sources/peer_owner.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <sys/stat.h>

#include "collector/clock.h"
#include "tests/support/child.h"
#include "tests/support/program.h"
#include "tests/support/raw_server.h"
#include "tests/support/temp_dir.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

/// Takes connections in a process of its own; this one keeps no descriptor of the listening socket.
struct Elsewhere {
  explicit Elsewhere(const std::string& where)
      : server(where), child([this] {
          while (server.accept() >= 0) {
          }
        }) {
    server.close();
  }
  RawServer server;
  Child child;
};

struct Connected {
  explicit Connected(const std::string& address) {
    if (address.starts_with("unix:")) {
      sockaddr_un name{};
      name.sun_family = AF_UNIX;
      address.copy(name.sun_path, sizeof name.sun_path - 1, 5);
      connect(reinterpret_cast<sockaddr*>(&name), sizeof name);
    } else if (address.starts_with('[')) {
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      name.sin6_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      name.sin6_addr = in6addr_loopback;
      connect(reinterpret_cast<sockaddr*>(&name), sizeof name);
    } else {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      connect(reinterpret_cast<sockaddr*>(&name), sizeof name);
    }
  }
  ~Connected() { ::close(socket); }
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;

  void connect(const sockaddr* name, socklen_t size) {
    socket = ::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(socket, name, size) == 0);
  }
  int socket = -1;
};

/// So long that only a hang takes it.
MonotonicTime far() { return system_clock().monotonic() + 60s; }

std::string refusal(const Result<void>& proven) { return proven ? "" : proven.error().text; }

}  // namespace

TEST_CASE("the process that has taken a connection is told from all others") {
  const Child stranger(sleep_for_ever);
  for (const auto* where : {"127.0.0.1:0", "[::1]:0", "[::]:0"}) {
    CAPTURE(where);
    const Elsewhere elsewhere(where);
    const Connected connection(elsewhere.server.address());
    CHECK(refusal(prove_peer_owner(connection.socket, elsewhere.child.pid(), far())) == "");
    CHECK(refusal(prove_peer_owner(connection.socket, stranger.pid(), far())) ==
          "who listens there is another process");
    // It descends from us. From pid 1 descends everybody: that proves nothing.
    CHECK(refusal(prove_peer_owner(connection.socket, ::getpid(), far())) == "");
    CHECK(refusal(prove_peer_owner(connection.socket, 1, far())) == "who listens there is another process");
  }
}

TEST_CASE("the process that listens at a Unix socket is told from all others") {
  const TempDir folder;
  const auto address = "unix:" + folder / "socket";
  const Child stranger(sleep_for_ever);
  const Child owner([&] {
    const RawServer server(address + ".new");
    std::filesystem::rename(folder / "socket.new", folder / "socket");
    sleep_for_ever();
  });
  REQUIRE(await([&] { return std::filesystem::exists(folder / "socket"); }));
  const Connected connection(address);
  CHECK(refusal(prove_peer_owner(connection.socket, owner.pid(), far())) == "");
  CHECK(refusal(prove_peer_owner(connection.socket, ::getpid(), far())) == "");
  for (const Pid other : {stranger.pid(), Pid{1}}) {
    CHECK(refusal(prove_peer_owner(connection.socket, other, far())) == "who listens there is another process");
  }
}

TEST_CASE("an IPv4 connection to a socket for both kinds is found too") {
  const Elsewhere elsewhere("[::]:0");
  const auto& address = elsewhere.server.address();
  const Connected connection("127.0.0.1:" + address.substr(address.rfind(':') + 1));
  CHECK(refusal(prove_peer_owner(connection.socket, elsewhere.child.pid(), far())) == "");
  const Child stranger(sleep_for_ever);
  CHECK(refusal(prove_peer_owner(connection.socket, stranger.pid(), far())) == "who listens there is another process");
}

TEST_CASE("a process that has gone owns nothing") {
  const Elsewhere elsewhere("127.0.0.1:0");
  const Connected connection(elsewhere.server.address());
  pid_t gone = 0;
  {
    const Child short_lived(sleep_for_ever);
    gone = short_lived.pid();
  }
  CHECK(refusal(prove_peer_owner(connection.socket, gone, far())) == "who listens there is another process");
}

TEST_CASE("a connection that nobody has taken yet is nobody's") {
  const RawServer server;
  const Connected connection(server.address());
  CHECK(refusal(prove_peer_owner(connection.socket, ::getpid(), system_clock().monotonic() + 10ms)) ==
        "who listens there has not taken the connection in time");
}

TEST_CASE("what is not connected on this host proves nothing") {
  const RawServer server;
  CHECK(refusal(prove_peer_owner(server.socket(), ::getpid(), far())) == "it is not connected");
  CHECK(refusal(prove_peer_owner(-1, ::getpid(), far())) == "it is not connected");
}

TEST_CASE("a process is told from another one with its pid by its start") {
  const Child child(sleep_for_ever);
  const BootTime start = child.start();
  CHECK(is_still({child.pid(), start}, 0s));
  CHECK_FALSE(is_still({child.pid(), start + 10ms}, 0s));
  CHECK(is_still({child.pid(), start + 2s}, 2s));
  CHECK_FALSE(is_still({child.pid(), start - 2001ms}, 2s));
  CHECK_FALSE(is_still({0, start}, 1h));
}

TEST_CASE("who listens at a port is proven by the inodes of all that listen there") {
  const auto inode_of = [](const RawServer& server) {
    struct stat about {};
    REQUIRE(::fstat(server.socket(), &about) == 0);
    return std::uint64_t{about.st_ino};
  };
  for (const auto* where : {"127.0.0.1:0", "[::1]:0", "[::]:0"}) {
    CAPTURE(where);
    RawServer server(where);
    const auto address = server.address();
    const std::vector<std::uint64_t> right{1, inode_of(server)};
    const std::vector<std::uint64_t> wrong{inode_of(RawServer())};
    CHECK(refusal(prove_listener(address, right)) == "");
    CHECK(refusal(prove_listener(address, wrong)) == "who listens there is another process");
    CHECK(refusal(prove_listener(address, {})) == "who listens there is another process");
    server.close();
    CHECK(refusal(prove_listener(address, right)) == "nobody listens there");
  }
  for (const auto* nonsense : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"}) {
    CHECK_FALSE(prove_listener(nonsense, {}));
  }
}

TEST_CASE("two that share a port are not proven by the one of them that is known") {
  const auto share = [](std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    REQUIRE(::listen(socket, 1) == 0);
    socklen_t size = sizeof name;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size);
    return std::pair(socket, ntohs(name.sin_port));
  };
  const auto [known, port] = share(0);
  struct stat about {};
  REQUIRE(::fstat(known, &about) == 0);
  const std::vector<std::uint64_t> inodes{about.st_ino};
  const auto address = "127.0.0.1:" + std::to_string(port);
  CHECK(refusal(prove_listener(address, inodes)) == "");
  const auto other = share(port).first;
  CHECK(refusal(prove_listener(address, inodes)) == "who listens there is another process");
  ::close(other);
  CHECK(refusal(prove_listener(address, inodes)) == "");
  ::close(known);
}

TEST_CASE("a process that runs is known by its start, and only one of ours") {
  const Child child(sleep_for_ever);
  const auto known = running_process(child.pid());
  REQUIRE(known);
  CHECK(known->start == child.start());
  CHECK(is_still(*known, Micros{0}));
  CHECK_FALSE(is_still({child.pid(), known->start + Micros{std::chrono::milliseconds{10}}}, Micros{0}));
  CHECK_FALSE(running_process(0));
  if (::geteuid() != 0) {
    CHECK_FALSE(running_process(1));
  }
}
