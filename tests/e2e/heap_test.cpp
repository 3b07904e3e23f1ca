#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"

using namespace fleetledger::test;
using namespace fleetledger::e2e;

namespace {

/// An agent whose server is this program, and whose config names the port of that one.
struct Agent {
  Agent(Host& host, const std::string& called, pid_t server, const Program& listener)
      : name(called),
        pid(server),
        path(host.make_agent(called, R"({"developmentAgent":true,"authToken":"the-token-of-)" + called +
                                         R"(","port":)" + listener.lines().at(0) + "}")) {}
  std::string name;
  pid_t pid;
  std::string path;

  [[nodiscard]] Host::Entry entry() const { return {name, path, pid, ""}; }
};

Program start_listener(Host& host) {
  auto listener = host.start_program({HEALTH_SERVER});
  REQUIRE(await([&] { return !listener.lines().empty(); }));
  return listener;
}

/// What the newest rows of an agent say of the heap of this source; null counts.
std::vector<Json> heaps_of(Host& host, const std::string& agent, const std::string& source) {
  std::vector<Json> heaps;
  const auto answer = host.run({"samples", agent, "--json", "--source", source});
  if (answer.code != 0) return heaps;  // while its ledger is made
  const auto samples = parse_json(answer.output);
  for (const auto& sample : samples["samples"].items) {
    heaps.push_back(sample["heapUsedBytes"]);
  }
  return heaps;
}

bool is_known(const Json& heap) { return !heap.is_null(); }

}  // namespace

TEST_CASE("an agent's server is asked for its heap with the agent's token, and a stranger at its port for nothing") {
  Host host;
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n");
  const auto honest = start_listener(host);
  const auto stranger = start_listener(host);
  const auto elsewhere = host.start_program({"/bin/sleep", "10000"});
  const Agent luna(host, "luna", honest.pid(), honest);
  const Agent nova(host, "nova", elsewhere.pid(), stranger);
  host.register_agents({luna.entry(), nova.entry()});
  auto daemon = host.start({"run"});

  std::vector<Json> heaps;
  REQUIRE(await([&] {
    heaps = heaps_of(host, "luna", "agent-server");
    return std::any_of(heaps.begin(), heaps.end(), is_known);
  }));
  CHECK(std::find_if(heaps.begin(), heaps.end(), is_known)->number == 42 << 20);
  CHECK(honest.output().find("\nGET /health HTTP/1.0\r\n") != std::string::npos);
  CHECK(honest.output().find("Authorization: Bearer the-token-of-luna\r\n") != std::string::npos);
  heaps = heaps_of(host, "luna", "aggregate");
  CHECK_FALSE(heaps.empty());
  CHECK(std::none_of(heaps.begin(), heaps.end(), is_known));

  // Nova's rows come as ever, and the stranger has been connected to, but was told nothing.
  REQUIRE(await([&] { return (heaps = heaps_of(host, "nova", "agent-server")).size() >= 4; }));
  CHECK(std::none_of(heaps.begin(), heaps.end(), is_known));
  CHECK(stranger.lines().size() == 1);
  CHECK(stranger.output() == stranger.lines().at(0) + "\n");

  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  CHECK(complaints_in(daemon.errors()) == "");
  CHECK(daemon.errors().find("the-token-of") == std::string::npos);
}

TEST_CASE("no server is asked for its heap if the configuration says so") {
  Host host;
  host.configure("sampling: {sample_interval: 1s, idle_sample_interval: 1s, heap: false}\n");
  const auto honest = start_listener(host);
  const Agent luna(host, "luna", honest.pid(), honest);
  host.register_agents({luna.entry()});
  auto daemon = host.start({"run"});
  REQUIRE(await([&] { return heaps_of(host, "luna", "agent-server").size() >= 3; }));
  daemon.signal(SIGTERM);
  CHECK(daemon.exit_code() == 0);
  CHECK(honest.output() == honest.lines().at(0) + "\n");
}
