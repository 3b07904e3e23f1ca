#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "config/json.h"
#include "tests/e2e/served.h"
#include "tests/support/gate.h"
#include "tests/support/notify_socket.h"

using namespace fleetledger;
using e2e::Host;
using e2e::Served;
using e2e::ServedAgent;
using test::NotifySocket;

namespace {

constexpr auto kEverySecond = "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";

std::string every_second_with(const std::string& ps) {
  return "sampling: {sample_interval: 1s, idle_sample_interval: 1s, timeout: 1m, ps: " + ps + "}\n";
}

/// The collector as a shell command starts it; `$program run` stands for it.
test::Program start_by_shell(Host& host, const std::string& command) {
  return host.start_program({"/bin/sh", "-c",
                             "program='" FLEETLEDGER_PROGRAM "'; set -- --home '" + host.home() + "' --config '" +
                                 host.config_file() + "'; " + command});
}

std::int64_t monotonic_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Holds one thread of a process, the one whose id is the process's: that of the loop. The others go on.
class HeldLoop {
 public:
  explicit HeldLoop(pid_t pid) : pid_(pid), held_(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0) {
    if (held_) {
      REQUIRE(::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) == 0);
      REQUIRE(::waitpid(pid_, nullptr, __WALL) == pid_);
    }
  }
  ~HeldLoop() {
    if (held_) ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
  }
  HeldLoop(const HeldLoop&) = delete;
  HeldLoop& operator=(const HeldLoop&) = delete;

  /// False: nobody may hold it here.
  explicit operator bool() const { return held_; }

 private:
  pid_t pid_;
  bool held_;
};

}  // namespace

TEST_CASE("the watchdog hears nothing of a loop that hangs, though other threads go on, and hears of it again after") {
  Host host;
  NotifySocket manager(host / "notify");
  host.configure(kEverySecond);
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.set_variables({"NOTIFY_SOCKET=" + manager.name(), "WATCHDOG_USEC=400000"});
  auto daemon = host.start({"run"});
  REQUIRE(manager.comes("READY=1"));
  REQUIRE(manager.comes("WATCHDOG=1", 5));
  const auto stay_away = [&] {
    const auto fed = manager.count("WATCHDOG=1");
    ::poll(nullptr, 0, 2000);  // ten times as long as between two of them
    CHECK(manager.count("WATCHDOG=1") == fed);
    return fed;
  };
  std::size_t fed = 0;
  {
    const HeldLoop held(daemon.pid());
    if (held) {
      fed = stay_away();
    } else {
      WARN("the loop's thread alone cannot be held here: it takes CAP_SYS_PTRACE");
    }
  }
  CHECK(manager.comes("WATCHDOG=1", fed + 5));

  daemon.signal(SIGSTOP);
  REQUIRE(test::await([&] {
    const auto stat = test::text_of_file("/proc/" + std::to_string(daemon.pid()) + "/stat");
    return stat.find(") T ") != std::string::npos;
  }));
  fed = stay_away();
  daemon.signal(SIGCONT);
  CHECK(manager.comes("WATCHDOG=1", fed + 5));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("the start is over with the first look, the watchdog hears of a loop that waits, and the end is told") {
  Host host;
  const bool by_path = GENERATE(true, false);
  NotifySocket manager(by_path ? host / "notify" : "@fleetledger-e2e-" + std::to_string(getpid()));
  test::Gate gate(host / "gate");
  host.configure(every_second_with(host.folder().script(
      "held-ps", "[ -e '" + host / "open" + "' ] || read -r _ <'" + gate.path() + "'\nexec /usr/bin/ps \"$@\"")));
  const ServedAgent agent(host, "echo");
  host.make_agent("silent", "{}");
  host.register_agents({agent.entry(), {"silent", host.home() + "/.instar/agents/silent", 0, ""}});
  host.set_variables({"NOTIFY_SOCKET=" + manager.name(), "WATCHDOG_USEC=400000"});
  auto daemon = start_by_shell(host, "WATCHDOG_PID=$$ exec \"$program\" run \"$@\"");

  REQUIRE(manager.comes("WATCHDOG=1", 5));
  CHECK(manager.count("READY=1") == 0);
  CHECK(manager.count("STATUS=") == 0);
  host.folder().write("open", "");
  gate.open();
  REQUIRE(manager.comes("READY=1"));
  CHECK(manager.comes("STATUS=metering 1 of 2 agents, 0 live sessions"));
  const auto fed = manager.count("WATCHDOG=1");
  CHECK(manager.comes("WATCHDOG=1", fed + 5));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  const auto& messages = manager.messages();
  const auto last = std::find_if(messages.rbegin(), messages.rend(),
                                 [](const std::string& text) { return !text.starts_with("WATCHDOG=1"); });
  REQUIRE(last != messages.rend());
  CHECK(last->starts_with("STOPPING=1"));
  CHECK(manager.count("STOPPING=1") == 1);
  CHECK(manager.count("READY=1") == 1);
}

TEST_CASE("a watchdog of another process is not fed") {
  Host host;
  NotifySocket manager(host / "notify");
  host.configure(kEverySecond);
  host.set_variables(
      {"NOTIFY_SOCKET=" + manager.name(), "WATCHDOG_USEC=20000", "WATCHDOG_PID=" + std::to_string(getpid())});
  auto daemon = host.start({"run"});
  REQUIRE(manager.comes("READY=1"));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  CHECK(manager.count("WATCHDOG=1") == 0);
}

TEST_CASE("while the first look fails the start goes on, and says why and how much longer it may take") {
  Host host;
  NotifySocket manager(host / "notify");
  host.configure(every_second_with(
      host.folder().script("failing-ps", "[ -e '" + host / "well" + "' ] || exit 3\nexec /usr/bin/ps \"$@\"")));
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  host.set_variables({"NOTIFY_SOCKET=" + manager.name()});
  auto daemon = host.start({"run"});
  REQUIRE(manager.comes("EXTEND_TIMEOUT_USEC=", 2));
  CHECK(manager.count("STATUS=the first look failed: ") == 1);
  CHECK(manager.count("READY=1") == 0);
  host.folder().write("well", "");
  CHECK(manager.comes("READY=1"));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("how a reload ended is told to the service manager, in the log, over HTTP and by top") {
  Host host;
  NotifySocket manager(host / "notify");
  host.set_variables({"NOTIFY_SOCKET=" + manager.name()});
  const auto served = std::string(kEverySecond) + "http: {listen: [\"127.0.0.1:0\"]}\n";
  host.configure(served);
  Served collector(host);
  REQUIRE(manager.comes("READY=1"));
  const auto configuration = [&] {
    const auto reply = collector.get("/fleet/now", collector.operators_token());
    const auto answer = JsonDocument::parse(reply.body);
    REQUIRE(answer);
    const auto found = answer->root().member("configuration");
    REQUIRE(found.is_object());
    struct {
      std::int64_t since;
      std::optional<std::string> refused;
      std::string at_next_start;
    } told{*found.member("since").integer(), {}, found.member("atNextStart").element(0).short_text(100)};
    if (const auto reason = found.member("refused").member("reason").text()) told.refused = *reason;
    return told;
  };
  const auto first = configuration();
  CHECK_FALSE(first.refused);
  CHECK(first.at_next_start.empty());

  host.configure(served + "storage: {retentoin: 1d}\n");
  const auto before = monotonic_micros();
  collector.daemon.signal(SIGHUP);
  REQUIRE(manager.comes("READY=1", 2));
  const auto reason = host.config_file() + ":3: storage.retentoin";
  CHECK(manager.count("STATUS=metering 0 of 0 agents, 0 live sessions; the configuration was refused, the old one "
                      "stays in force: " +
                      reason) == 1);
  CHECK(collector.daemon.complains("event=reload_refused"));
  const auto& messages = manager.messages();
  const auto reloading = std::find_if(messages.begin(), messages.end(),
                                      [](const std::string& text) { return text.starts_with("RELOADING=1\n"); });
  REQUIRE(reloading != messages.end());
  const auto when = std::stoll(reloading->substr(std::string("RELOADING=1\nMONOTONIC_USEC=").size()));
  CHECK(when >= before);
  CHECK(when <= monotonic_micros());
  const auto refused = configuration();
  REQUIRE(refused.refused);
  CHECK(refused.refused->starts_with(reason));
  CHECK(refused.since == first.since);
  CHECK(host.run({"top", "--once"}).output.find("the configuration was refused") == std::string::npos);  // not its port

  host.configure(std::string(kEverySecond) + "http: {listen: [\"127.0.0.1:1\"]}\n");
  collector.daemon.signal(SIGHUP);
  REQUIRE(manager.comes("READY=1", 3));
  CHECK(manager.count("RELOADING=1") == 2);
  CHECK(manager.comes("STATUS=metering 0 of 0 agents, 0 live sessions; takes effect at the next start: http"));
  const auto taken = configuration();
  CHECK_FALSE(taken.refused);
  CHECK(taken.at_next_start == "http");
  CHECK(taken.since >= first.since);
  collector.daemon.signal(SIGTERM);
  CHECK(collector.daemon.exit_code() == 0);
}

TEST_CASE("lines for the journal begin with their priority and leave the time to it; others do not") {
  Host host;
  host.configure(kEverySecond);
  NotifySocket manager(host / "notify");
  host.set_variables({"NOTIFY_SOCKET=" + manager.name()});
  const auto journal = host / "journal";
  const auto reload_and_stop = [&](const std::string& stream) {
    host.configure(kEverySecond);
    const auto before = manager.count("READY=1");
    auto daemon =
        start_by_shell(host, "exec 2>'" + journal + "'; JOURNAL_STREAM=" + stream + " exec \"$program\" run \"$@\"");
    REQUIRE(manager.comes("READY=1", before + 1));
    host.configure("log: {level: loud}\n");
    daemon.signal(SIGHUP);
    REQUIRE(manager.comes("READY=1", before + 2));
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
    return test::lines_of(test::text_of_file(journal));
  };
  std::size_t errors = 0;
  for (const auto& line : reload_and_stop("$(stat -c %d:%i '" + journal + "')")) {
    INFO(line);
    const bool is_error = line.starts_with("<3>level=error event=");
    errors += is_error ? 1 : 0;
    CHECK((is_error || line.starts_with("<6>level=info event=") || line.starts_with("<4>level=warning event=")));
  }
  CHECK(errors == 2);  // the problem, and that it was refused
  for (const auto& line : reload_and_stop("1:2")) {
    CHECK(line.starts_with("2"));
  }
}
