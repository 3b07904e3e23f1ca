#include "collector/service.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "collector/loop/loop_runtime.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/fake_store.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_loop.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

struct Reads {
  FakeClock clock;
  FakeRuntime runtime{clock};
  FakeStore store;
  StoreReads reads{store, runtime.runtime()};
  std::vector<int> statuses;

  void ask(int status, const std::string& whose = {}) {
    reads.add(
        StoreRead([status](LedgerStore&) { return Response{.status = status, .headers = {}, .body = {}}; }, whose),
        Responder([this](const Response& response) { statuses.push_back(response.status); }));
  }
};

}  // namespace

TEST_CASE("so many ledgers are read at once, the others in turn, and beyond that a caller is told to come again") {
  Reads host;
  constexpr auto kAll = static_cast<int>(StoreReads::kAtOnce + StoreReads::kWaiting);
  for (int i = 0; i < kAll; ++i) {
    host.ask(200 + i);
  }
  CHECK(host.runtime.jobs.size() == StoreReads::kAtOnce);
  CHECK(host.statuses.empty());

  Response refused;
  host.reads.add(StoreRead([](LedgerStore&) { return Response{}; }),
                 Responder([&](Response response) { refused = std::move(response); }));
  CHECK(refused.status == 503);
  REQUIRE(refused.headers.size() == 2);
  CHECK(refused.headers[1] == std::pair<std::string, std::string>("Retry-After", "1"));

  host.runtime.run_job(3);  // whichever ends first makes room
  CHECK(host.runtime.jobs.size() == StoreReads::kAtOnce);
  CHECK(host.statuses == std::vector<int>{203});
  host.runtime.run_jobs();
  CHECK(host.statuses.size() == static_cast<std::size_t>(kAll));
}

TEST_CASE("no ledger is read for callers while a tick is under way, but they do not wait for a tick that hangs") {
  Reads host;
  host.reads.hold();
  host.ask(200);
  CHECK(host.runtime.jobs.empty());
  host.reads.go_on();
  CHECK(host.runtime.jobs.size() == 1);
  host.runtime.run_jobs();
  CHECK(host.statuses == std::vector<int>{200});

  host.runtime.advance(StoreReads::kLongestHold / 2);
  host.reads.hold();
  host.ask(201);
  host.runtime.advance(StoreReads::kLongestHold - Micros{1});
  CHECK(host.runtime.jobs.empty());  // the end of the hold before does not end this one
  host.runtime.advance(Micros{1});
  CHECK(host.runtime.jobs.size() == 1);
  host.runtime.run_jobs();
  CHECK(host.statuses == std::vector<int>{200, 201});
}

TEST_CASE("readers of five ledgers whose disks hang keep nobody else waiting, and are sent away until they answer") {
  Reads host;
  for (int round = 0; round < 20; ++round) {
    for (const auto* hung : {"a", "b", "c", "d", "e"}) {
      host.ask(200, hung);
    }
  }
  for (int i = 0; i < 4; ++i) {
    host.runtime.advance(StoreReads::kIsLate);
  }
  // The first of each are under way and never end; all others of theirs were told to come again.
  const auto hanging = host.runtime.jobs.size();
  REQUIRE(hanging == StoreReads::kAtOnce);
  CHECK(std::count(host.statuses.begin(), host.statuses.end(), 503) == 92);
  host.ask(200, "a");
  CHECK(std::count(host.statuses.begin(), host.statuses.end(), 503) == 93);
  for (int i = 0; i < 20; ++i) {
    host.ask(201, "good");
    host.ask(202);
    while (host.runtime.jobs.size() > hanging) {
      host.runtime.run_job(hanging);
    }
  }
  CHECK(std::count(host.statuses.begin(), host.statuses.end(), 201) == 20);
  CHECK(std::count(host.statuses.begin(), host.statuses.end(), 202) == 20);

  host.runtime.run_jobs();  // the disks answer
  CHECK(std::count(host.statuses.begin(), host.statuses.end(), 200) == static_cast<std::ptrdiff_t>(hanging));
  host.ask(203, "a");
  host.runtime.run_jobs();
  CHECK(host.statuses.back() == 203);
}

TEST_CASE("however many ledgers hang, no more reads are under way than the pool has threads for") {
  Reads host;
  for (int i = 0; i < 200; ++i) {
    host.ask(200, "agent-" + std::to_string(i));
    host.runtime.advance(StoreReads::kIsLate / 10);
    CHECK(host.runtime.jobs.size() <= StoreReads::kMostJobs);
  }
  CHECK(host.runtime.jobs.size() == StoreReads::kMostJobs);
  host.runtime.run_jobs();
  CHECK(host.statuses.size() == 200);
}

TEST_CASE("reads are stopped when the last one under way has ended; those that wait are dropped") {
  Reads host;
  for (int i = 0; i < 20; ++i) {
    host.ask(200);
  }
  bool stopped = false;
  host.reads.stop([&] { stopped = true; });
  for (std::size_t i = 0; i < StoreReads::kAtOnce; ++i) {
    CHECK_FALSE(stopped);
    host.runtime.run_job();
  }
  CHECK(stopped);
  CHECK(host.runtime.jobs.empty());
  CHECK(std::count(host.statuses.begin(), host.statuses.end(), 200) == 0);
  bool again = false;
  host.reads.stop([&] { again = true; });
  CHECK(again);
}

TEST_CASE("a service answers over a socket, reads ledgers in the pool and stops with requests under way") {
  const TempDir folder;
  TestLoop loop;
  LoopRuntime runtime(loop.get());
  FakeStore store;
  auto fleet = std::make_shared<Fleet>();
  Agent agent;
  agent.identity = {"alpha-1", "alpha", "/alpha"};
  fleet->agents.push_back(agent);
  fleet->access.push_back({{AgentToken::Kind::readable, Secret("alpha-token-0123456789")}, {}, ""});
  HttpConfig config;
  config.listen = {"unix:" + (folder / "http.sock")};
  config.operator_token_file = folder / "operator.token";
  auto service =
      Service::start(config, {.loop = loop.get(), .runtime = runtime.runtime(), .store = store, .state = [&] {
                                return ApiState{.fleet = fleet,
                                                .snapshot = std::make_shared<const Snapshot>(),
                                                .status_of = [](const Agent&) { return AgentStatus{}; },
                                                .metrics = {},
                                                .own_resident = {},
                                                .now = {}};
                              }});
  REQUIRE(service);
  RawClient client(loop.get(), config.listen.front());
  const auto get = [](const std::string& path) {
    return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alpha-token-0123456789\r\n\r\n";
  };
  const auto reply_to = [&](const std::string& path) {
    client.send(get(path));
    std::optional<Reply> reply;
    loop.await([&] { return (reply = client.take_reply()).has_value(); });
    return *reply;
  };
  CHECK(reply_to("/healthz").status == 200);
  const auto summary = reply_to("/resources/summary");
  CHECK(summary.status == 200);
  CHECK(summary.headers.at("cache-control") == "no-store");
  CHECK(summary.headers.at("content-type") == "application/json");
  CHECK(reply_to("/fleet/summary").status == 403);

  client.send(get("/resources/summary"));
  (*service)->stop({});
  service->reset();
  loop.await([&] { return client.ended(); });
}
