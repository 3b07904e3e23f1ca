#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <thread>

#include "tests/e2e/generated_fleet.h"
#include "tests/support/columns.h"
#include "tests/support/raw_server.h"

using namespace fleetledger;
using namespace fleetledger::test;
using e2e::GeneratedFleet;
using e2e::Host;
using e2e::Json;
using e2e::ServedAgent;
using Names = std::vector<std::string>;

namespace {

const Names kFleet{"--agents",          "3",
                   "--sessions",        "2",
                   "--loads",           "flat:20,deep:20,steady:5,idle",
                   "--names",           "echo,scout,archivist",
                   "--not-development", "1"};

std::string sampling(const std::string& address) {
  return "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\nhttp: {listen: [\"" + address + "\"]}\n";
}

std::int64_t micros(const Json& amount) { return std::llround(amount["cpuSeconds"].number * 1e6); }

Names names_of(const Json& array, const std::string& member) {
  Names names;
  for (const auto& item : array.items) {
    names.push_back(item[member].text);
  }
  std::sort(names.begin(), names.end());
  return names;
}

void check_numbers(const Json& top) {
  auto sum =
      micros(top["everythingElse"]) + micros(top["unattributed"]) + micros(top["rounding"]) + micros(top["collector"]);
  double last = 1e9;
  for (const auto& agent : top["agents"].items) {
    if (agent["now"].is_null()) {
      CHECK(agent["name"].text == "archivist");
      continue;
    }
    sum += micros(agent["now"]);
    CHECK(agent["now"]["cpuPercent"].number <= last);
    last = agent["now"]["cpuPercent"].number;
  }
  CHECK(sum == micros(top["host"]));
  CHECK(top["collector"]["rssBytes"].number > 1e6);
  CHECK(top["intervalMs"].number > 0);
  CHECK(top["ageMs"].number >= 0);
  CHECK(top["everythingElse"]["top"].size() <= 3);
  CHECK(names_of(top["agents"], "name") == Names{"archivist", "echo", "scout"});
  CHECK(names_of(top["heaviestSessions"], "sessionName") == Names{"s1-flat", "s1-steady", "s2-deep", "s2-idle"});
  CHECK(top["agents"].with("name", "echo")["now"]["cpuSeconds"].number > 0);
}

/// A collector at an address with a port that was free a moment ago.
struct Collector {
  explicit Collector(Host& host) {
    host.serve();
    do {
      address = RawServer().address();
      host.configure(sampling(address));
      daemon.emplace(host.start({"run"}));
    } while (!await([&] { return listens() || daemon->ended(); }) || !listens());
  }
  [[nodiscard]] bool listens() const { return daemon->errors().find("event=listening") != std::string::npos; }
  void end() {
    daemon->signal(SIGTERM);
    CHECK(daemon->exit_code() == 0);
  }
  std::string address;
  std::optional<Program> daemon;
};

/// Takes whoever comes and keeps what they say.
class Stranger {
 public:
  explicit Stranger(const std::string& address) : server_(address) {
    thread_ = std::thread([this] {
      for (int connection = 0; (connection = server_.accept()) >= 0; ::close(connection)) {
        ++taken_;
        received_ += receive_request(connection);
      }
    });
  }
  ~Stranger() { stop(); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void stop() {
    ::shutdown(server_.socket(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  /// After stop().
  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] int taken() const { return taken_; }

 private:
  RawServer server_;
  std::thread thread_;
  std::string received_;
  int taken_ = 0;
};

/// A terminal of the test's own, with a program in it.
class Screen {
 public:
  Screen(const Host& host, int columns) {
    control_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    ::grantpt(control_);
    ::unlockpt(control_);
    terminal_ = ::open(::ptsname(control_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    resize(columns);
    ::tcgetattr(terminal_, &before_);
    const std::string home = "HOME=" + host / "nobody";
    const std::string tmux = "TMUX_TMPDIR=" + host.tmux_dir();
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setsid();
      ::ioctl(terminal_, TIOCSCTTY, 0);
      for (int descriptor = 0; descriptor < 3; ++descriptor) {
        ::dup2(terminal_, descriptor);
      }
      const char* environment[] = {home.c_str(), tmux.c_str(), "PATH=/usr/bin:/bin",
                                   "TERM=xterm", "NO_COLOR=1", nullptr};
      if (::getppid() == parent) {
        ::execle(FLEETLEDGER_PROGRAM, "fleetledger", "top", "--interval", "100ms", "--home", host.home().c_str(),
                 nullptr, environment);
      }
      ::_exit(127);
    }
  }
  ~Screen() {
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(control_);
    ::close(terminal_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void resize(int columns) const {
    const winsize size{24, static_cast<unsigned short>(columns), 0, 0};
    ::ioctl(terminal_, TIOCSWINSZ, &size);
  }
  void press(char key) const { CHECK(::write(control_, &key, 1) == 1); }
  void signal(int number) const { ::kill(pid_, number); }

  /// Forgets what was shown before, and waits until this is.
  bool shows(const std::string& text) {
    shown_.clear();
    return await([&] {
      read();
      return shown_.find(text) != std::string::npos;
    });
  }
  int exit_code() {
    int status = 0;
    reaped_ = await([&] {
      read();  // or it could not write
      return ::waitpid(pid_, &status, WNOHANG) == pid_;
    });
    read();
    return reaped_ && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  [[nodiscard]] bool is_as_before() const {
    termios now{};
    ::tcgetattr(terminal_, &now);
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }
  [[nodiscard]] const std::string& shown() const { return shown_; }

 private:
  void read() {
    char block[4096];
    for (ssize_t size = 0; (size = ::read(control_, block, sizeof block)) > 0;) {
      shown_.append(block, static_cast<std::size_t>(size));
    }
  }

  int control_ = -1;
  int terminal_ = -1;
  pid_t pid_ = -1;
  bool reaped_ = false;
  termios before_{};
  std::string shown_;
};

}  // namespace

TEST_CASE("top takes two looks of its own where no collector runs, and says so") {
  Host host;
  const GeneratedFleet fleet(host, kFleet);
  host.serve();
  const auto answer = host.run({"top", "--once", "--json", "--interval", "1s"});
  CHECK(answer.code == 0);
  CHECK(answer.errors.empty());
  const auto top = e2e::parse_json(answer.output);
  CHECK(top["from"].text == "own looks");
  CHECK(top["why"].text == "no collector runs");
  check_numbers(top);

  const auto text = host.run({"top", "--once", "--interval", "500ms"});
  CHECK(text.code == 0);
  CHECK(text.output.find("own looks, ") != std::string::npos);
  CHECK(text.output.find("not metered: archivist (off)\n") != std::string::npos);
  CHECK(text.output.find('\x1b') == std::string::npos);
  for (const auto& line : lines_of(text.output)) {
    INFO(line);
    CHECK(test::columns_of(line) <= 80);  // a line that was cut ends with an ellipsis, which has three bytes
  }
  CHECK_FALSE(std::filesystem::exists(host.home() + "/.local"));
}

TEST_CASE("top shows the last look of the collector that runs, and hands its token to nobody else") {
  Host host;
  const GeneratedFleet fleet(host, kFleet);
  Collector collector(host);
  std::string last;
  REQUIRE(await([&] {
    last = host.run({"top", "--json", "--interval", "100ms"}).output;
    return e2e::parse_json(last)["from"].text == "collector";
  }));
  // Not what its first look said, which has no session's usage, but a later one.
  const auto first = e2e::parse_json(last)["ts"].number;
  REQUIRE(await([&] {
    last = host.run({"top", "--json"}).output;
    const auto numbers = e2e::parse_json(last);
    // On a busy host a look that comes late is followed by one that comes soon, in which all loads may rest.
    return numbers["from"].text == "collector" && numbers["ts"].number > first && numbers["intervalMs"].number >= 900;
  }));
  const auto top = e2e::parse_json(last);
  CHECK(top["why"].is_null());
  check_numbers(top);
  CHECK(await([&] {
    return host.run({"top", "--once"}).output.find("the collector's last look, ") != std::string::npos;
  }));

  // A token that others may read is not used, as the collector would not.
  const auto token = host.home() + "/.local/state/fleetledger/operator.token";
  REQUIRE(::chmod(token.c_str(), 0644) == 0);
  const auto loose = e2e::parse_json(host.run({"top", "--json", "--interval", "100ms"}).output);
  CHECK(loose["from"].text == "own looks");
  CHECK(loose["why"].text.find("others may use it") != std::string::npos);
  REQUIRE(::chmod(token.c_str(), 0600) == 0);

  // Somebody else listens where it listened.
  collector.end();
  Stranger stranger(collector.address);
  const auto wary = e2e::parse_json(host.run({"top", "--json", "--interval", "100ms"}).output);
  stranger.stop();
  CHECK(wary["from"].text == "own looks");
  CHECK(wary["why"].text == collector.address + ": who listens there is another process");
  CHECK(stranger.taken() == 0);
  CHECK(stranger.received().empty());
}

TEST_CASE("a collector is asked over a Unix socket too") {
  Host host;
  ServedAgent luna(host, "luna");
  host.register_agents({luna.entry()});
  host.serve();
  host.configure(sampling("unix:" + host / "socket"));
  auto daemon = host.start({"run"});
  REQUIRE(await([&] {
    return e2e::parse_json(host.run({"top", "--json", "--interval", "100ms"}).output)["from"].text == "collector";
  }));
  // It goes on where a new configuration was refused, and so did `top` not.
  host.configure(sampling("unix:" + host / "socket") + "storage: {retentoin: 1d}\n");
  daemon.signal(SIGHUP);
  REQUIRE(daemon.complains("event=reload_refused"));
  CHECK(await([&] {
    const auto top = host.run({"top", "--once"});
    return top.code == 0 && top.output.find("the configuration was refused") != std::string::npos;
  }));
  CHECK(host.run({"agents"}).code == 78);
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("top draws on a terminal until it is told to end, and leaves it as it was") {
  Host host;
  ServedAgent luna(host, "luna");
  host.register_agents({luna.entry()});
  for (const int end : {static_cast<int>('q'), 3, -SIGTERM, -SIGHUP}) {
    CAPTURE(end);
    Screen screen(host, 80);
    REQUIRE(screen.shows("\nhost "));
    REQUIRE(screen.shows("\nhost "));
    CHECK_FALSE(screen.is_as_before());
    CHECK(screen.shown().find("\x1b[3") == std::string::npos);
    screen.resize(120);
    REQUIRE(screen.shows("\nhost "));
    end > 0 ? screen.press(static_cast<char>(end)) : screen.signal(-end);
    CHECK(screen.exit_code() == 0);
    CHECK(screen.is_as_before());
    CHECK(screen.shown().ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"));
  }
}

TEST_CASE("without a terminal top draws nothing, and says what to do") {
  Host host;
  const auto refused = host.run({"top"});
  CHECK(refused.code == 1);
  CHECK(refused.output.empty());
  CHECK(refused.errors.find("--once") != std::string::npos);
}
