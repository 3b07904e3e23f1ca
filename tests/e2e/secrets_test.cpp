#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sys/stat.h>

#include "collector/api/routes.h"
#include "tests/e2e/json.h"
#include "tests/e2e/ledger.h"
#include "tests/e2e/served.h"
#include "tests/support/raw_server.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
namespace fs = std::filesystem;

namespace {

using Files = std::set<std::string>;

/// The files below a folder that hold this text, databases and their logs included.
Files files_with(const std::string& folder, const std::string& text) {
  Files files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && test::text_of_file(entry.path()).find(text) != std::string::npos) {
      files.insert(entry.path());
    }
  }
  return files;
}

/// A process that an agent left behind, with secrets in its environment and its arguments. Ended with it.
class LeftBehind {
 public:
  LeftBehind(Host& host, const std::string& agent, const std::string& in_environment, const std::string& in_arguments) {
    auto starter = host.start_program(
        {"/usr/bin/env", "INSTAR_AGENT_HOME=" + agent, "INSTAR_SESSION_ID=ended", "INSTAR_AUTH_TOKEN=" + in_environment,
         "/bin/sh", "-c", "setsid sh -c 'while :; do sleep 100; done' " + in_arguments + " >/dev/null 2>&1 & echo $!"});
    REQUIRE(starter.exit_code() == 0);
    pid_ = static_cast<pid_t>(std::stol(starter.output()));
  }
  ~LeftBehind() { ::kill(-pid_, SIGKILL); }
  LeftBehind(const LeftBehind&) = delete;
  LeftBehind& operator=(const LeftBehind&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

const std::string kToken = "planted-1-token-of-an-agent";
const std::string kOtherKey = "planted-2-key-in-a-config";
const std::string kBroken = "planted-3-in-a-broken-config";
const std::string kInEnvironment = "planted-4-in-an-environment";
const std::string kInArguments = "planted-5-in-a-command-line";
const std::string kInSession = "planted-6-in-a-session-file";
const std::string kInBrokenSession = "planted-7-in-a-broken-session";
const std::string kInRegistry = "planted-8-in-the-registry";
const std::string kInSentinel = "planted-9-in-a-sentinel-line";
const std::string kSentToUs = "planted-10-sent-to-us-as-a-token";
const std::vector<std::string> kPlanted{kToken,     kOtherKey,        kBroken,     kInEnvironment, kInArguments,
                                        kInSession, kInBrokenSession, kInRegistry, kInSentinel,    kSentToUs};

/// A host on which a secret lies in every place that we read, and the collector of an ordinary user.
struct Planted {
  Host host;
  std::string echo;
  std::optional<test::Program> server;
  std::optional<LeftBehind> orphan;

  Planted() {
    host.as_ordinary_user();
    fs::copy_file(HEALTH_SERVER, host / "health-server");
    server.emplace(host.start_program({host / "health-server"}));  // its output has what it is sent: output-1
    REQUIRE(test::await([&] { return !server->lines().empty(); }));
    echo = host.make_agent("echo", R"({"developmentAgent":true,"authToken":")" + kToken + R"(","apiKey":")" +
                                       kOtherKey + R"(","port":)" + server->lines().at(0) + "}");
    const auto broken = host.make_agent("broken", R"({"authToken":")" + kBroken + R"(","developmentAgent":tru)");
    host.register_agents({{"echo", echo, server->pid(), ""}, {"broken", broken, 0, ""}});
    const auto registry = host.home() + "/.instar/registry.json";
    const auto text =
        replaced(test::text_of_file(registry), R"("version":1)", R"("version":1,"key":")" + kInRegistry + '"');
    std::ofstream(registry) << text;
    host.tmux({"new-session", "-d", "-e", "INSTAR_AUTH_TOKEN=" + kInEnvironment, "-s", "work", "/bin/sh", "-c",
               "while :; do sleep 100; done", kInArguments});
    host.write_session(echo, "s1", "work");
    const auto session = echo + "/.instar/state/sessions/s1.json";
    const auto said = replaced(test::text_of_file(session), R"({"id")", R"({"prompt":")" + kInSession + R"(","id")");
    std::ofstream(session) << said;
    std::ofstream(echo + "/.instar/state/sessions/s2.json") << R"({"id":"s2","status":")" << kInBrokenSession;
    fs::create_directory(echo + "/logs");
    const auto now = std::chrono::system_clock::now().time_since_epoch();  // what is old is not taken
    std::ofstream(echo + "/logs/sentinel-events.jsonl")
        << R"({"sentinel":"rate-limit","timestamp":)" << std::chrono::ceil<std::chrono::milliseconds>(now).count()
        << R"(,"kind":"throttle-detected","sessionName":"work","key":")" << kInSentinel << "\"}\n"
        << R"({"sentinel":"other","detail":")" << kInSentinel << "\"}\n"
        << R"({"sentinel":"rate-limit","detail":")" << kInSentinel << "\n";
    orphan.emplace(host, echo, kInEnvironment, kInArguments);
    listen_at("127.0.0.1:0");
  }

  void listen_at(const std::string& address) {
    host.configure("log: {level: debug}\nhttp: {listen: [\"" + address +
                   "\"], metrics_auth: token, metrics_sessions: 20}\n"
                   "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  }

  [[nodiscard]] bool all_is_measured() const {
    std::set<std::string> sources;
    for (const auto& row : read_rows(echo)) {
      sources.insert(row.source);
    }
    return sources == std::set<std::string>{"agent-server", "session:s1", "orphans", "aggregate"};
  }
};

}  // namespace

TEST_CASE("secrets that lie in everything we read are in nothing that we write, serve or print") {
  Planted planted;
  auto& host = planted.host;
  std::map<std::string, Files> expected;
  for (const auto& secret : kPlanted) {
    expected[secret] = files_with(host.home(), secret);
    CHECK(expected[secret].size() ==
          (secret == kInEnvironment || secret == kInArguments || secret == kSentToUs ? 0 : 1));
  }
  expected[kToken].insert(host / "output-1");  // the agent's own server is asked with it

  Served served(host);
  REQUIRE(test::await([&] { return planted.all_is_measured(); }));
  REQUIRE(test::await([&] { return planted.server->output().find(kToken) != std::string::npos; }));

  // The event of the line that holds a secret is there, so that there is something to ask about.
  std::string event;
  REQUIRE(test::await([&] {
    const auto limits = parse_json(host.run({"rate-limits", "echo", "--json"}).output)["events"];
    event = limits.size() == 1 ? limits[0]["id"].text : "";
    return !event.empty();
  }));

  std::string answers;
  const auto id = parse_json(host.run({"agents", "--json"}).output)["agents"].with("name", "echo")["id"].text;
  std::size_t answered = 0;
  std::size_t told_of_event = 0;
  for (const auto& route : routes()) {
    auto target = replaced(replaced(route.path.data(), "{id}", id), "{pid}", std::to_string(planted.orphan->pid()));
    target = replaced(replaced(target, "{file}", "main.js"), "{eventId}", event);
    CHECK(target.find('{') == std::string::npos);
    for (const auto& token : {served.operators_token(), kToken, kSentToUs, std::string()}) {
      const auto reply = served.get(target + "?secret=" + kSentToUs, token);
      answered += reply.status == 200 ? 1U : 0U;
      told_of_event += reply.status == 200 && reply.body.find(event) != std::string::npos ? 1U : 0U;
      answers += reply.body;
      for (const auto& [name, value] : reply.headers) {
        answers += value + '\n';
      }
    }
  }
  CHECK(answered > routes().size());
  // The agent's limits by both routes, and one of them with its context: to the operator and to the agent itself.
  CHECK(told_of_event >= 5);
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"check"},
                                             {"agents"},
                                             {"top", "--once"},
                                             {"explain", std::to_string(planted.orphan->pid())},
                                             {"samples", "echo"},
                                             {"summary", "echo"},
                                             {"rate-limits", "echo"},
                                             {"rate-limits", "echo", "--context"},
                                             {"rate-limits", "echo", "--event", event},
                                             {"sample", "--ticks", "1", "--interval", "100ms"}}) {
    auto json = verb;
    json.emplace_back("--json");
    for (const auto& said : {host.run(verb), host.run(json)}) {
      CHECK_FALSE(said.output.empty());  // with what it complains of it stays in a file: searched below
    }
  }
  const auto operators = served.operators_token();
  const auto metrics = test::text_of_file(host.home() + "/.local/state/fleetledger/metrics.token").substr(0, 64);
  REQUIRE(metrics.size() == 64);
  const auto search = [&] {
    for (const auto& secret : kPlanted) {
      INFO(secret);
      CHECK(answers.find(secret) == std::string::npos);
      CHECK(files_with(host.folder().path(), secret) == expected[secret]);
    }
    CHECK(files_with(host.folder().path(), operators) == Files{served.token_file()});
    CHECK(files_with(host.folder().path(), metrics) == Files{host.home() + "/.local/state/fleetledger/metrics.token"});
  };
  search();  // with the rows in the -wal
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
  search();
  // It finds what is there; where a busy host cut the end short, beside the ledger.
  const auto found = files_with(host.folder().path(), "session:s1");
  CHECK((found.contains(ledger_file(planted.echo)) || found.contains(ledger_file(planted.echo) + "-wal")));
}

TEST_CASE("for an ordinary user all works although nobody of his may look into the collector") {
  Planted planted;
  auto& host = planted.host;
  host.serve();
  std::optional<test::Program> daemon;  // at a port that was free a moment ago
  const auto listens = [&] { return daemon->errors().find("event=listening") != std::string::npos; };
  do {
    planted.listen_at(test::RawServer().address());
    daemon.emplace(host.start({"run"}));
  } while (!test::await([&] { return listens() || daemon->ended(); }) || !listens());
  REQUIRE(test::await([&] { return planted.all_is_measured(); }));

  // Nobody may: not even the user himself.
  const auto proc = "/proc/" + std::to_string(daemon->pid());
  for (const auto* part : {"/environ", "/maps", "/mem"}) {
    struct stat about {};
    REQUIRE(::stat((proc + part).c_str(), &about) == 0);
    CHECK(about.st_uid == 0);
    CHECK(host.start_program({"/bin/cat", proc + part}).exit_code() == 1);
  }
  CHECK(host.start_program({"/bin/cat", "/proc/" + std::to_string(planted.server->pid()) + "/environ"}).exit_code() ==
        0);
  CHECK(host.start_program({"/bin/ls", proc + "/fd"}).exit_code() != 0);
  const auto limits = test::text_of_file(proc + "/limits");
  const auto cores = limits.substr(limits.find("Max core file size"), 64);
  CHECK(cores.find(" 0 ") != std::string::npos);

  // The heap of its server, what was left behind, its own cost, and who it is: all from /proc.
  CHECK(test::await([&] {
    const auto rows = parse_json(host.run({"samples", "echo", "--source", "agent-server", "--json"}).output)["samples"];
    return std::any_of(rows.items.begin(), rows.items.end(),
                       [](const Json& row) { return row["heapUsedBytes"].number == 42 << 20; });
  }));
  const auto why = host.run({"explain", std::to_string(planted.orphan->pid()), "--json"});
  CHECK(parse_json(why.output)["source"].text == "orphans");
  CHECK(test::await([&] {
    const auto top = parse_json(host.run({"top", "--json"}).output);
    return top["from"].text == "collector" && top["collector"]["rssBytes"].number > 1e6;
  }));
  daemon->signal(SIGTERM);
  CHECK(daemon->exit_code() == 0);
}
