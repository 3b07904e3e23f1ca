#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "tests/e2e/host.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"

using namespace fleetledger;
using e2e::Host;
using e2e::Served;
using e2e::ServedAgent;
namespace fs = std::filesystem;

// What stands in the places of the collector's own files: its configuration and its socket.

namespace {

constexpr auto kGood = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";
constexpr unsigned kNobody = 65534;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What has this name, and what has been done to it; nothing if there is nothing.
std::optional<std::vector<std::uint64_t>> looks(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return std::nullopt;
  }
  return std::vector<std::uint64_t>{found.st_dev, found.st_ino, found.st_mode, found.st_uid,
                                    static_cast<std::uint64_t>(found.st_size)};
}

/// A socket that is bound there, and listens if it is one that can.
class Socket {
 public:
  Socket(const std::string& path, int type) : descriptor_(::socket(AF_UNIX, type, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof name.sun_path);
    path.copy(name.sun_path, path.size());
    REQUIRE(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
    if (type == SOCK_STREAM) {
      REQUIRE(::listen(descriptor_, 1) == 0);
    }
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { ::close(descriptor_); }

 private:
  int descriptor_;
};

/// How a path comes to be bad, and what is said of it. `make` is told the path and a folder for what else it takes.
struct BadPlace {
  std::string what;
  std::string reason;
  std::function<void(const std::string& path, const std::string& beside)> make;
};

std::vector<BadPlace> bad_configs() {
  std::vector<BadPlace> bad{
      {"a link that leads nowhere", "No such file",
       [](const auto& path, const auto& beside) { fs::create_symlink(beside + "/nowhere", path); }},
      {"a link to itself", "Too many levels", [](const auto& path, const auto&) { fs::create_symlink(path, path); }},
      {"a FIFO", "no regular file", [](const auto& path, const auto&) { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }},
      {"a link to a FIFO", "no regular file",
       [](const auto& path, const auto& beside) {
         REQUIRE(::mkfifo((beside + "/fifo").c_str(), 0600) == 0);
         fs::create_symlink(beside + "/fifo", path);
       }},
      {"a link to a device", "no regular file",
       [](const auto& path, const auto&) { fs::create_symlink("/dev/zero", path); }},
      {"a folder", "no regular file", [](const auto& path, const auto&) { fs::create_directory(path); }},
      {"a socket", "no regular file", [](const auto& path, const auto&) { Socket(path, SOCK_STREAM); }},
      {"huge", "larger than",
       [](const auto& path, const auto&) {
         std::ofstream(path) << kGood;
         fs::resize_file(path, std::uintmax_t{100} << 20U);
       }},
      {"writable by all", "can be written by other users",
       [](const auto& path, const auto&) {
         std::ofstream(path) << kGood;
         REQUIRE(::chmod(path.c_str(), 0606) == 0);
       }},
      {"wrong in its second line", ":2: sampling.scope",
       [](const auto& path, const auto&) { std::ofstream(path) << "sampling:\n  scope: forest\n"; }},
  };
  if (::geteuid() == 0) {
    bad.push_back({"a device", "no regular file", [](const auto& path, const auto&) {
                     static_cast<void>(::mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0 ||
                                       ::mkfifo(path.c_str(), 0600) == 0);  // where no device can be made
                   }});
    bad.push_back({"another user's", "belongs to another user", [](const auto& path, const auto&) {
                     std::ofstream(path) << kGood;
                     REQUIRE(::chown(path.c_str(), kNobody, kNobody) == 0);
                   }});
    bad.push_back({"writable by another group", "can be written by other users", [](const auto& path, const auto&) {
                     std::ofstream(path) << kGood;
                     REQUIRE(::chown(path.c_str(), ::geteuid(), kNobody) == 0);
                     REQUIRE(::chmod(path.c_str(), 0660) == 0);
                   }});
  }
  return bad;
}

}  // namespace

TEST_CASE("a configuration of any bad kind is refused by its name and left as it is, however it is found") {
  for (const std::string way : {"--config", "FLEETLEDGER_CONFIG", "its usual place"}) {
    Host host;
    fs::create_directories(host.home() + "/.config/fleetledger");
    const auto path = way == "its usual place" ? host.home() + "/.config/fleetledger/config.yaml" : host / "own.yaml";
    if (way == "FLEETLEDGER_CONFIG") {
      host.set_variables({"FLEETLEDGER_CONFIG=" + path});
    }
    const auto run = [&](const std::string& verb) {
      std::vector<std::string> arguments{verb};
      if (way == "--config") {
        arguments.insert(arguments.end(), {"--config", path});
      }
      return host.run(arguments);
    };
    for (const auto& [what, reason, make] : bad_configs()) {
      INFO(way << ": " << what);
      const auto beside = host / "beside";
      fs::create_directory(beside);
      make(path, beside);
      const auto before = looks(path);
      for (const auto* verb : {"check", "run"}) {
        const auto finished = run(verb);
        CAPTURE(finished.output, finished.errors);
        CHECK(finished.code == 78);
        const auto& said = verb == std::string("check") ? finished.output : finished.errors;
        CHECK(has(said, path));
        CHECK(has(said, reason));
      }
      CHECK(looks(path) == before);
      fs::remove(path);
      fs::remove_all(beside);
    }
    // A link to a good file is good: many keep their settings elsewhere.
    std::ofstream(host / "good.yaml") << kGood;
    fs::create_symlink(host / "good.yaml", path);
    CHECK(run("check").code == 0);
    fs::remove(path);
    CHECK(run("check").code == (way == "its usual place" ? 0 : 78));  // what is named has to be there
  }
}

TEST_CASE("a configuration that has become of any bad kind is refused at a reload, and the old one stays in force") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.configure(kGood);
  auto daemon = host.start({"run"});
  REQUIRE(test::await([&] { return !e2e::read_ticks(agent.path).empty(); }));
  const auto count = [&](const std::string& part) {
    std::size_t found = 0;
    for (const auto& line : test::lines_of(daemon.errors())) {
      found += has(line, part) ? 1U : 0U;
    }
    return found;
  };
  std::size_t refused = 0;
  for (const auto& [what, reason, make] : bad_configs()) {
    INFO(what);
    const auto beside = host / "beside";
    fs::create_directory(beside);
    fs::remove(host.config_file());
    make(host.config_file(), beside);
    daemon.signal(SIGHUP);
    ++refused;
    REQUIRE(test::await([&] { return count("event=reload_refused") == refused; }));
    CHECK(count(reason) > 0);
    fs::remove(host.config_file());
    fs::remove_all(beside);
  }
  const auto ticks = e2e::read_ticks(agent.path).size();
  CHECK(test::await([&] { return e2e::read_ticks(agent.path).size() > ticks; }));
  host.configure(kGood);
  daemon.signal(SIGHUP);
  CHECK(test::await([&] { return count("event=reloaded") == 1; }));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE(
    "whatever stands at the path of the Unix socket is refused by its name and left alone, but our own stale one") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  const auto folder = host / "run";
  fs::create_directory(folder);
  fs::permissions(folder, fs::perms::owner_all);
  const auto path = folder + "/http.sock";
  const auto elsewhere = host / "elsewhere";
  host.configure(kGood + std::string("http: {listen: [\"unix:") + path + "\"]}\n");
  host.serve();

  std::vector<std::unique_ptr<Socket>> live;
  std::vector<BadPlace> bad{
      {"a file", "not a socket", [](const auto& at, const auto&) { std::ofstream(at) << "precious"; }},
      {"a folder", "not a socket", [](const auto& at, const auto&) { fs::create_directory(at); }},
      {"a FIFO", "not a socket", [](const auto& at, const auto&) { REQUIRE(::mkfifo(at.c_str(), 0600) == 0); }},
      {"a link to a file", "not a socket",
       [](const auto& at, const auto& beside) {
         std::ofstream(beside + "/victim") << "precious";
         fs::create_symlink(beside + "/victim", at);
       }},
      {"a link that leads nowhere", "not a socket",
       [](const auto& at, const auto& beside) { fs::create_symlink(beside + "/nowhere", at); }},
      {"a link to a stale socket", "not a socket",
       [](const auto& at, const auto& beside) {
         Socket(beside + "/stale", SOCK_STREAM);
         fs::create_symlink(beside + "/stale", at);
       }},
      {"another program's", "another program listens there",
       [&](const auto& at, const auto&) { live.push_back(std::make_unique<Socket>(at, SOCK_STREAM)); }},
      {"another program's, which is full", "another program listens there",
       [&](const auto& at, const auto&) {
         live.push_back(std::make_unique<Socket>(at, SOCK_STREAM));
         sockaddr_un name{};
         name.sun_family = AF_UNIX;
         at.copy(name.sun_path, at.size());
         for (;;) {
           const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
           const bool full = ::connect(client, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0;
           ::close(client);
           if (full) {
             break;
           }
         }
       }},
      {"another program's, for datagrams", "another program listens there",
       [&](const auto& at, const auto&) { live.push_back(std::make_unique<Socket>(at, SOCK_DGRAM)); }},
  };
  if (::geteuid() == 0) {
    bad.push_back({"another user's", "of another user", [](const auto& at, const auto&) {
                     Socket(at, SOCK_STREAM);
                     REQUIRE(::chown(at.c_str(), kNobody, kNobody) == 0);
                   }});
  }
  for (const auto& [what, reason, make] : bad) {
    INFO(what);
    fs::create_directory(elsewhere);
    make(path, elsewhere);
    const auto before = looks(path);
    const auto refused = host.run({"run"});
    CAPTURE(refused.errors);
    CHECK(refused.code == 1);
    CHECK(has(refused.errors, path));
    CHECK(has(refused.errors, reason));
    CHECK(looks(path) == before);
    if (what == "a link to a file" || what == "a file") {
      CHECK(test::text_of_file(path) == "precious");
    }
    CHECK(looks(elsewhere + "/nowhere") == std::nullopt);
    live.clear();
    fs::remove(path);
    fs::remove_all(elsewhere);
  }
  CHECK_FALSE(fs::exists(e2e::ledger_file(agent.path)));

  fs::permissions(folder, fs::perms::all);
  const auto open_to_all = host.run({"run"});
  CHECK(open_to_all.code == 1);
  CHECK(has(open_to_all.errors, "its folder"));
  fs::permissions(folder, fs::perms::owner_all);

  Socket(path, SOCK_STREAM);
  const auto stale = looks(path);
  {
    Served served(host);
    CHECK(served.get("/healthz", "").status == 200);
    CHECK(looks(path) != stale);
    CHECK((fs::status(path).permissions() & fs::perms::all) == (fs::perms::owner_read | fs::perms::owner_write));
    // What has taken its place by then is not ours to remove.
    fs::remove(path);
    std::ofstream(path) << "precious";
    served.daemon.signal(SIGTERM);
    CHECK(served.daemon.exit_code() == 0);
  }
  CHECK(test::text_of_file(path) == "precious");
}
