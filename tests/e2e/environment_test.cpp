#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/support/raw_client.h"
#include "tests/support/test_loop.h"

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

std::string get(const std::string& address, const std::string& target, const std::string& token) {
  test::TestLoop loop;
  test::RawClient client(loop.get(), address);
  client.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n");
  std::optional<test::Reply> reply;
  loop.await([&] { return (reply = client.take_reply()).has_value(); });
  return reply->body;
}

}  // namespace

TEST_CASE("what an agent left behind is its orphan whenever the collector is started, and its secrets stay its own") {
  Host host;
  host.serve();
  const auto address = "unix:" + host / "http";
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  const LeftBehind orphan(host, agent);
  const auto pid = std::to_string(orphan.pid());
  std::string answers;
  for (const std::string source : {"ps", "procfs"}) {
    INFO(source);
    host.configure("log: {level: debug}\nhttp: {listen: [\"" + address + "\"], operator_token_file: " + host / "token" +
                   "}\nsampling: {sample_interval: 1s, idle_sample_interval: 1s, source: " + source + "}\n");
    const auto before = rows_of_orphans(agent.path);
    auto daemon = host.start({"run"});
    CHECK(test::await([&] { return rows_of_orphans(agent.path) >= before + 2; }));

    // The collector may take longer to answer than it is waited for.
    auto why = host.run({"explain", pid});
    CHECK(test::await([&] {
      why = host.run({"explain", pid});
      return why.output.find("seen by the collector, ") != std::string::npos;
    }));
    CHECK(why.code == 0);
    CHECK(why.output.find(pid + " (sh): orphans of agent echo-") == 0);
    CHECK(why.output.find("  " + pid + " (sh) would be nobody's, but names the agent in its environment") !=
          std::string::npos);
    const auto id = e2e::parse_json(host.run({"explain", pid, "--json"}).output)["agentId"].text;
    const auto token = test::lines_of(test::text_of_file(host / "token")).at(0);
    for (const auto& target : {std::string("/fleet/summary"), std::string("/agents"), "/agents/" + id,
                               "/agents/" + id + "/resources/samples", "/processes/" + pid, std::string("/metrics")}) {
      answers += get(address, target, token);
    }
    daemon.signal(SIGTERM);
    CHECK(daemon.exit_code() == 0);
    CHECK(e2e::complaints_in(daemon.errors()).empty());
  }
  CHECK(answers.find("echo") != std::string::npos);
  for (const std::string secret : {kToken, kKey}) {
    CHECK(answers.find(secret) == std::string::npos);
    CHECK(files_with(host.folder().path(), secret).empty());
  }
  CHECK_FALSE(files_with(host.folder().path(), "echo").empty());  // it does find what is there
}

TEST_CASE("without a collector explain looks for itself, and says that it knows nothing of the past") {
  Host host;
  const ServedAgent agent(host, "echo");
  host.register_agents({agent.entry()});
  const LeftBehind orphan(host, agent);
  const auto text = host.run({"explain", std::to_string(agent.server.pid())});
  INFO(text.output << text.errors);
  CHECK(text.code == 0);
  CHECK(text.output.find("(sleep): agent-server of agent echo-") != std::string::npos);
  CHECK(text.output.find("(sleep) is the server of the agent: the registry names its pid\n") != std::string::npos);
  CHECK(text.output.find("seen by one look of this command's own (http is switched off)") != std::string::npos);

  const auto json = e2e::parse_json(host.run({"explain", std::to_string(orphan.pid()), "--json"}).output);
  CHECK(json["oneLook"].flag);
  CHECK(json["source"].text == "orphans");
  CHECK(json["steps"][0]["why"].text == "environment");
  CHECK(e2e::parse_json(host.run({"explain", "1", "--json"}).output)["why"].text == "nobody");

  const auto none = host.run({"explain", "2147483647"});
  CHECK(none.code == 1);
  CHECK(none.output.empty());
  CHECK(none.errors == "fleetledger: there is no process 2147483647\n");
  CHECK(host.run({"explain", "0"}).code == 2);
  CHECK(host.run({"explain"}).code == 2);
  for (const std::string secret : {kToken, kKey}) {
    CHECK(files_with(host.folder().path(), secret).empty());
  }
}
