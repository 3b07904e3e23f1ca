#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <rapidjson/document.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "tests/support/temp_dir.h"

using namespace fleetledger;
namespace fs = std::filesystem;

namespace {

std::string text_of(const std::string& path) {
  // Not a stream: a file of /proc fails to be read when its process ends, and a stream throws then.
  std::string text;
  FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return text;
  std::array<char, 4096> block{};
  for (std::size_t size = 0; (size = std::fread(block.data(), 1, block.size(), file)) > 0;) {
    text.append(block.data(), size);
  }
  std::fclose(file);
  return text;
}

rapidjson::Document json_of(const std::string& path) {
  INFO(path);
  rapidjson::Document document;
  document.Parse(text_of(path).c_str());
  REQUIRE_FALSE(document.HasParseError());
  REQUIRE(document.IsObject());
  return document;
}

std::string text(const rapidjson::Value& value) {
  REQUIRE(value.IsString());
  return value.GetString();
}

/// Processes, zombies aside, with a command line or an environment that speaks of `folder`.
std::vector<pid_t> processes_of(const std::string& folder) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos || std::stoi(name) == getpid()) continue;
    const std::string proc = entry.path();
    if (text_of(proc + "/cmdline").find(folder) != std::string::npos ||
        text_of(proc + "/environ").find(folder) != std::string::npos) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

template <typename Condition>
bool await(Condition condition) {
  for (int look = 0; look < 6'000; ++look) {
    if (condition()) return true;
    poll(nullptr, 0, 10);
  }
  return false;
}

pid_t start(std::vector<std::string> arguments, int output) {
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid > 0) return pid;
  dup2(output, STDOUT_FILENO);
  arguments.insert(arguments.begin(), FLEET_PROGRAM);
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(FLEET_PROGRAM, argv.data());
  _exit(127);
}

int exit_code(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int run(const std::vector<std::string>& arguments) { return exit_code(start(arguments, STDERR_FILENO)); }

/// A generator that runs until the test is over.
class RunningFleet {
 public:
  RunningFleet(const std::string& root, std::vector<std::string> arguments) : root_(root) {
    arguments.insert(arguments.begin(), {"start", "--root", root});
    std::array<int, 2> ends{};
    REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    pid_ = ::start(arguments, ends[1]);
    close(ends[1]);
    std::array<char, 1024> line{};
    const ssize_t size = read(ends[0], line.data(), line.size());
    close(ends[0]);
    REQUIRE(std::string(line.data(), size > 0 ? static_cast<std::size_t>(size) : 0) == "ready " + root + "\n");
  }
  RunningFleet(const RunningFleet&) = delete;
  RunningFleet& operator=(const RunningFleet&) = delete;
  ~RunningFleet() {
    if (pid_ > 0) kill(pid_, SIGTERM), waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] int end(int signal) {
    kill(pid_, signal);
    return exit_code(std::exchange(pid_, -1));
  }
  [[nodiscard]] std::string session_file(const std::string& agent, const std::string& id) const {
    return root_ + "/home/.instar/agents/" + agent + "/.instar/state/sessions/" + id + ".json";
  }

 private:
  std::string root_;
  pid_t pid_ = -1;
};

/// What a command prints, with the fleet's tmux server in sight.
std::set<std::string> lines_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "re");
  REQUIRE(pipe != nullptr);
  std::array<char, 256> line{};
  std::set<std::string> lines;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) lines.insert(std::string(line.data()));
  pclose(pipe);
  return lines;
}

std::string list_panes(const std::string& tmux) { return tmux + " -u list-panes -a -F '#{pane_pid} #{session_name}'"; }

/// "<pane pid> <tmux session>\n" of all sessions that fleet.json tells.
std::set<std::string> told_panes(const std::string& root) {
  const auto fleet = json_of(root + "/fleet.json");
  std::set<std::string> lines;
  for (const auto& agent : fleet["agents"].GetArray()) {
    for (const auto& session : agent["sessions"].GetArray()) {
      lines.insert(std::to_string(session["panePid"].GetInt()) + " " + session["tmuxSession"].GetString() + "\n");
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("a fleet's sessions run in tmux on its own socket, and nothing of it is left at its end") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "2", "--sessions", "4", "--loads",
                            "flat,deep,detached,unwaited,reparented,leaker,idle,steady:5"});
  const auto panes = lines_of("TMUX= TMUX_TMPDIR='" + root + "/tmux' " + list_panes("tmux"));
  CHECK(panes.size() == 8);
  CHECK(panes == told_panes(root));
  struct stat status {};
  REQUIRE(stat((root + "/tmux").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  // The generator, its guard, the tmux server, two servers, eight sessions.
  CHECK(processes_of(root).size() >= 13);

  CHECK(fleet.end(SIGTERM) == 0);
  CHECK(await([&] { return processes_of(root).empty(); }));
  CHECK_FALSE(fs::exists(root));
}

TEST_CASE("the files of a fleet have the fields that agents' files have") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "3", "--sessions", "1", "--not-development", "1", "--ended-files", "5",
                            "--names", "echo,scout", "--interval-ms", "5000", "--idle-interval-ms", "9000"});
  const auto registry = json_of(root + "/home/.instar/registry.json");
  CHECK(registry["version"].GetInt() == 1);
  std::set<std::string> names;
  for (const auto& entry : registry["entries"].GetArray()) {
    names.insert(entry["name"].GetString());
    CHECK(text(entry["type"]) == "standalone");
    CHECK(text(entry["status"]) == "running");
    CHECK(entry["port"].GetInt() >= 4040);
    CHECK(entry["port"].GetInt() <= 4099);
    CHECK(text(entry["lastHeartbeat"]).size() == std::string("2026-01-01T00:00:00.000Z").size());
    CHECK(text(entry["lastHeartbeat"]) >= text(entry["createdAt"]));
    CHECK(text_of("/proc/" + std::to_string(entry["pid"].GetInt()) + "/cmdline").find("agent-server") !=
          std::string::npos);

    const std::string path = entry["path"].GetString();
    CHECK(path == root + "/home/.instar/agents/" + entry["name"].GetString());
    const auto config = json_of(path + "/.instar/config.json");
    CHECK(text(config["projectName"]) == text(entry["name"]));
    CHECK(config["port"].GetInt() == entry["port"].GetInt());
    CHECK(config["authToken"].GetStringLength() == 32);
    CHECK(config.HasMember("developmentAgent") == (text(entry["name"]) != "agent-3"));
    const auto& ledger = config["monitoring"]["resourceLedger"];
    CHECK(ledger["sampleIntervalMs"].GetInt() == 5000);
    CHECK(ledger["idleSampleIntervalMs"].GetInt() == 9000);

    int running = 0;
    int ended = 0;
    for (const auto& file : fs::directory_iterator(path + "/.instar/state/sessions")) {
      const auto session = json_of(file.path());
      CHECK(file.path().stem() == session["id"].GetString());
      for (const char* field : {"name", "status", "tmuxSession", "startedAt"}) CHECK(session[field].IsString());
      CHECK(session.HasMember("endedAt") == (text(session["status"]) != "running"));
      ++(text(session["status"]) == "running" ? running : ended);
    }
    CHECK(running == 1);
    CHECK(ended == 5);
  }
  CHECK(names == std::set<std::string>{"echo", "scout", "agent-3"});
}

TEST_CASE("the heartbeats of a fleet go on") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "1", "--sessions", "0", "--heartbeat-ms", "5"});
  const std::string registry = root + "/home/.instar/registry.json";
  const std::string first = text_of(registry);
  CHECK(await([&] { return text_of(registry) != first; }));
}

TEST_CASE("a session whose load has ended is told to be completed while the fleet goes on") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "1", "--sessions", "2", "--loads", "steady:100,idle", "--cpu", "50ms"});
  const std::string path = fleet.session_file("agent-1", "s1-steady");
  const auto completed = [&] { return text_of(path).find("\"completed\"") != std::string::npos; };
  REQUIRE(await(completed));
  REQUIRE(await([&] { return text_of(path).ends_with("}\n"); }));
  CHECK(json_of(path).HasMember("endedAt"));
  CHECK(text(json_of(fleet.session_file("agent-1", "s2-idle"))["status"]) == "running");
}

TEST_CASE("a fleet whose generator is killed ends all the same, and stop removes its files") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "2", "--sessions", "2", "--loads", "detached,flat,unwaited,long"});
  CHECK(fleet.end(SIGKILL) == -SIGKILL);
  CHECK(await([&] { return processes_of(root).empty(); }));
  CHECK(fs::exists(root + "/home"));
  CHECK(run({"stop", "--root", root}) == 0);
  CHECK_FALSE(fs::exists(root));
}

TEST_CASE("stop ends a fleet whose generator and guard were both killed, detached children too") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "1", "--sessions", "2", "--loads", "detached,idle"});
  for (const pid_t pid : processes_of(root)) {
    if (text_of("/proc/" + std::to_string(pid) + "/cmdline").find("guard") != std::string::npos) kill(pid, SIGKILL);
  }
  CHECK(fleet.end(SIGKILL) == -SIGKILL);
  CHECK_FALSE(processes_of(root).empty());
  CHECK(run({"stop", "--root", root}) == 0);
  CHECK(await([&] { return processes_of(root).empty(); }));
  CHECK_FALSE(fs::exists(root));
}

TEST_CASE("stop asks a running generator to end its fleet") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "1", "--sessions", "1", "--loads", "steady"});
  CHECK(run({"stop", "--root", root}) == 0);
  CHECK(await([&] { return processes_of(root).empty(); }));
  CHECK_FALSE(fs::exists(root));
}

TEST_CASE("kept files tell that everything has ended, and what of others lies in the folder stays") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  fs::create_directory(root);
  {
    RunningFleet fleet(root, {"--agents", "1", "--sessions", "1", "--keep"});
    std::ofstream(root + "/mine") << "mine";
    CHECK(fleet.end(SIGINT) == 0);
  }
  const auto registry = json_of(root + "/home/.instar/registry.json");
  CHECK(text(registry["entries"][0]["status"]) == "stopped");
  CHECK(registry["entries"][0]["pid"].GetInt() == 0);
  CHECK(text(json_of(root + "/home/.instar/agents/agent-1/.instar/state/sessions/s1-idle.json")["status"]) ==
        "completed");
  CHECK(fs::exists(root + "/truth/agent-1/s1-idle.jsonl"));
  CHECK(run({"stop", "--root", root}) == 0);
  CHECK(lines_of("ls -A '" + root + "'") == std::set<std::string>{"mine\n"});
}

TEST_CASE("without tmux many sessions are bare processes, listed by the stand-in") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  RunningFleet fleet(root, {"--agents", "10", "--sessions", "10", "--no-tmux"});
  std::set<std::string> panes;
  for (const std::string& line : lines_of("'" + root + "/list-panes' list-panes -a")) {
    std::istringstream fields(line);
    pid_t server = 0;
    pid_t pane = 0;
    int dead = 1;
    std::string name;
    fields >> server >> pane >> dead >> name;
    CHECK(dead == 0);
    CHECK(text_of("/proc/" + std::to_string(pane) + "/stat").find(") S " + std::to_string(server)) !=
          std::string::npos);
    panes.insert(std::to_string(pane) + " " + name + "\n");
  }
  CHECK(panes.size() == 100);
  CHECK(panes == told_panes(root));
  CHECK(fleet.end(SIGTERM) == 0);
  CHECK(await([&] { return processes_of(root).empty(); }));
}

TEST_CASE("a folder with something in it is no place for a fleet, nor is one without a fleet to be stopped") {
  const test::TempDir folder;
  std::ofstream(folder / "mine") << "mine";
  CHECK(run({"start", "--root", folder.path(), "--for", "1s"}) == 1);
  CHECK(run({"stop", "--root", folder.path()}) == 1);
  CHECK(text_of(folder / "mine") == "mine");
  CHECK(run({"start", "--root", folder / "fleet", "--loads", "flatt"}) == 2);
  CHECK_FALSE(fs::exists(folder / "fleet"));
}

TEST_CASE("a fleet that cannot start leaves nothing") {
  const test::TempDir folder;
  const std::string root = folder / "fleet";
  CHECK(run({"start", "--root", root, "--tmux", "/nonexistent/tmux"}) == 1);
  CHECK(await([&] { return processes_of(root).empty(); }));
  CHECK_FALSE(fs::exists(root));
}

TEST_CASE("the demo shows its fleet to the collector and leaves no process and no file at Ctrl-C") {
  const test::TempDir folder;
  // In the collector's place: `run` finds the port taken at first, then serves; `sample` tells what it was given and
  // what it sees, then goes on as a live table does.
  const std::string collector = folder / "collector";
  std::ofstream(collector) << "#!/bin/sh\nif [ \"$1\" = run ]; then\n"
                           << "  if grep -q :4100 \"$5\"; then echo 'port 4100 is taken' >&2; exit 1; fi\n"
                           << "  echo 'event=operator_token file=/the/token made=now' >&2\n"
                           << "  echo 'event=listening address=127.0.0.1:4321' >&2\n"
                           << "  while :; do sleep 1; done\nfi\n"
                           << "printf '%s\\n' \"$@\" >'" << folder.path() << "/arguments'\n"
                           << list_panes("tmux") << " >'" << folder.path() << "/panes'\nprintf 'table\\n'\n"
                           << "while :; do sleep 1; done\n";
  fs::permissions(collector, fs::perms::owner_all);
  fs::create_directory(folder / "temporary");

  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  const pid_t demo = fork();
  REQUIRE(demo >= 0);
  if (demo == 0) {
    setpgid(0, 0);
    std::signal(SIGINT, SIG_DFL);
    setenv("TMPDIR", (folder / "temporary").c_str(), 1);
    dup2(ends[1], STDOUT_FILENO);
    execl(DEMO_SCRIPT, DEMO_SCRIPT, collector.c_str(), FLEET_PROGRAM, nullptr);
    _exit(127);
  }
  close(ends[1]);
  FILE* output = fdopen(ends[0], "r");
  REQUIRE(output != nullptr);
  std::array<char, 1024> line{};
  std::string shown;
  while (std::fgets(line.data(), line.size(), output) != nullptr && std::string(line.data()) != "table\n") {
    shown += line.data();
  }
  CHECK(shown.find("Port 4100 is taken") != std::string::npos);
  CHECK(shown.find("http://127.0.0.1:4321/ with the token in /the/token\n") != std::string::npos);
  CHECK(std::string(line.data()) == "table\n");
  CHECK(lines_of("cat '" + folder.path() + "/panes'").size() == 9);
  const auto arguments = lines_of("cat '" + folder.path() + "/arguments'");
  for (const char* argument : {"sample\n", "--home\n", "--config\n"}) CHECK(arguments.count(argument) == 1);

  kill(-demo, SIGINT);
  CHECK(exit_code(demo) == 0);
  std::fclose(output);
  CHECK(await([&] { return processes_of(folder / "temporary").empty(); }));
  CHECK(fs::is_empty(folder / "temporary"));
}
