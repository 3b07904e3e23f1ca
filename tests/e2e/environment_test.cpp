#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>

#include "tests/e2e/host.h"
#include "tests/e2e/ledger.h"

using namespace fleetledger;
using e2e::Host;
using e2e::ServedAgent;

namespace {

constexpr const char* kToken = "a-token-that-nobody-may-see-1";
constexpr const char* kKey = "a-key-that-nobody-may-see-2";

/// A busy process that an agent has left behind: it has outlived what started it. Ended with it.
class LeftBehind {
 public:
  LeftBehind(Host& host, const ServedAgent& agent) {
    auto starter =
        host.start_program({"/usr/bin/env", "INSTAR_AGENT_HOME=" + agent.path, "INSTAR_AGENT_ID=" + agent.name,
                            "INSTAR_SESSION_ID=ended", "INSTAR_SESSION_NAME=ended",
                            std::string("INSTAR_AUTH_TOKEN=") + kToken, std::string("ANTHROPIC_API_KEY=") + kKey,
                            "/bin/sh", "-c", "setsid sh -c 'while :; do :; done' >/dev/null 2>&1 & echo $!"});
    REQUIRE(starter.exit_code() == 0);
    pid_ = static_cast<pid_t>(std::stol(starter.output()));
  }
  ~LeftBehind() { ::kill(pid_, SIGKILL); }
  LeftBehind(const LeftBehind&) = delete;
  LeftBehind& operator=(const LeftBehind&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

std::size_t rows_of_orphans(const std::string& agent_path) {
  const auto rows = e2e::read_rows(agent_path);
  return static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](const e2e::Row& row) {
    return row.source == "orphans" && row.processes == 1 && row.cpu_us > 0;
  }));
}

/// The files below a folder that hold this text.
std::vector<std::string> files_with(const std::string& folder, const std::string& text) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && test::text_of_file(entry.path()).find(text) != std::string::npos) {
      files.push_back(entry.path());
    }
  }
  return files;
}

}  // namespace

TEST_CASE("what an agent left behind is its orphan whenever the collector is started, and its secrets stay its own") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  const LeftBehind orphan(host, agent);
  for (const std::string source : {"ps", "procfs"}) {
    INFO(source);
    host.configure("log: {level: debug}\nsampling: {sample_interval: 1s, idle_sample_interval: 1s, source: " + source +
                   "}\n");
    const auto before = rows_of_orphans(agent.path);
    auto daemon = host.start({"run"});
    CHECK(test::await([&] { return rows_of_orphans(agent.path) >= before + 2; }));
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
    CHECK(e2e::complaints_in(daemon.errors()).empty());
  }
  for (const std::string secret : {kToken, kKey}) {
    CHECK(files_with(host.folder().path(), secret).empty());
  }
  CHECK_FALSE(files_with(host.folder().path(), "echo").empty());  // it does find what is there
}
