#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <sys/stat.h>

#include "config/json.h"
#include "tests/e2e/host.h"
#include "tests/e2e/json.h"
#include "tests/e2e/served.h"

using namespace fleetledger;
using namespace fleetledger::e2e;
using namespace fleetledger::test;

namespace {

constexpr const char* kServed =
    "http: {listen: [\"127.0.0.1:0\"]}\n"
    "sampling: {sample_interval: 1s, idle_sample_interval: 1s}\n";
constexpr const char* kAgentsToken = "luna-token-0123456789";
constexpr const char* kAgentsConfig =
    R"({"developmentAgent":true,"projectName":"Luna","authToken":"luna-token-0123456789"})";

std::optional<std::int64_t> integer(const std::string& json, const std::string& member) {
  const auto document = JsonDocument::parse(json);
  REQUIRE(document);
  return document->root().member(member).integer();
}

}  // namespace

TEST_CASE("a running collector answers an agent and its operator") {
  Host host;
  host.configure(kServed);
  ServedAgent luna(host, "luna", kAgentsConfig);
  host.register_agents({luna.entry()});
  Served served(host);
  CHECK(served.get("/healthz", "").status == 200);

  // The rows that it writes are the rows that it serves.
  REQUIRE(await([&] { return integer(served.get("/resources/summary", kAgentsToken).body, "sampleCount") >= 4; }));
  const auto samples = served.get("/resources/samples?source=agent-server&limit=1", kAgentsToken);
  CHECK(samples.status == 200);
  const auto document = JsonDocument::parse(samples.body);
  REQUIRE(document);
  CHECK(document->root().member("samples").element(0).member("pid").integer() == luna.server.pid());
  CHECK(served.get("/readyz", "").status == 200);

  CHECK(served.get("/resources/summary", "wrong-token-0123456789").status == 403);
  CHECK(served.get("/fleet/summary", kAgentsToken).status == 403);
  const auto fleet = served.get("/fleet/summary", served.operators_token());
  CHECK(fleet.status == 200);
  CHECK(fleet.headers.at("cache-control") == "no-store");
  CHECK(fleet.body.find("\"name\":\"luna\"") != std::string::npos);

  // A token that changes counts at once, and one that is switched off is told so.
  host.write_agent_config(
      luna.path, R"({"authToken":"another-token-0123456789","monitoring":{"resourceLedger":{"enabled":false}}})");
  REQUIRE(await([&] { return served.get("/resources/summary", "another-token-0123456789").status == 503; }));
  CHECK(served.get("/resources/summary", kAgentsToken).status == 403);

  const auto log = served.daemon.errors();
  CHECK(log.find(served.operators_token()) == std::string::npos);
  CHECK(log.find("another-token") == std::string::npos);
  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
}

TEST_CASE("check says whose token cannot be used, and why") {
  Host host;
  const auto sealed = host.make_agent("sealed", R"({"developmentAgent":true,"authToken":{"secret":true}})");
  const auto weak = host.make_agent("weak", R"({"developmentAgent":true,"authToken":"hunter2-hunter2"})");
  const auto good = host.make_agent("good", kAgentsConfig);
  host.register_agents({{"good", good}, {"sealed", sealed}, {"weak", weak}});
  const auto text = host.run({"check"});
  CHECK(text.code == 0);
  const std::string only = "read with the operator's token only: its token is ";
  CHECK(text.output.find(only + "kept in an encrypted store") != std::string::npos);
  CHECK(text.output.find(only + "shorter than 16 bytes") != std::string::npos);
  CHECK(text.output.find("hunter2") == std::string::npos);
  const auto json = host.run({"check", "--json"});
  CHECK(json.output.find(R"("token":{"usable":true,"reason":""})") != std::string::npos);
  CHECK(json.output.find("hunter2") == std::string::npos);
}

TEST_CASE("a collector whose port is taken says which, and writes no ledger and no token") {
  Host host;
  host.configure(kServed);
  Served served(host);

  Host second;
  ServedAgent nova(second, "nova");
  second.register_agents({nova.entry()});
  second.serve();
  second.configure("http: {listen: [\"" + served.address + "\"]}\n");
  const auto refused = second.run({"run"});
  CHECK(refused.code == 1);
  CHECK(refused.errors.find("port " + served.address.substr(served.address.find(':') + 1)) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(nova.path + "/.instar/server-data"));
  CHECK_FALSE(std::filesystem::exists(second.home() + "/.local/state/fleetledger/operator.token"));

  served.daemon.signal(SIGTERM);
  CHECK(served.daemon.exit_code() == 0);
}

TEST_CASE("a collector does not start with an operator's token that others may read") {
  Host host;
  host.configure(kServed);
  std::string file;
  {
    Served served(host);
    file = served.token_file();
    struct stat found {};
    REQUIRE(stat(file.c_str(), &found) == 0);
    CHECK((found.st_mode & 07777U) == 0600);
    served.daemon.signal(SIGTERM);
    CHECK(served.daemon.exit_code() == 0);
  }
  const auto token = text_of_file(file);
  REQUIRE(chmod(file.c_str(), 0644) == 0);
  const auto refused = host.run({"run"});
  CHECK(refused.code == 1);
  CHECK(refused.errors.find(file) != std::string::npos);
  CHECK(refused.errors.find("chmod 600") != std::string::npos);
  CHECK(refused.errors.find(token.substr(0, 64)) == std::string::npos);
  CHECK(text_of_file(file) == token);
  // What keeps `run` from starting was not among what `check` says.
  const auto checked = host.run({"check", "--json"});
  CHECK(checked.code == 78);
  const auto problem = e2e::parse_json(checked.output)["problems"].with("key", "http.operator_token_file");
  CHECK(problem["message"].text.find("chmod 600") != std::string::npos);
}

TEST_CASE("an address that other hosts can reach is bad configuration, unless it is asked for") {
  Host host;
  host.serve();
  host.configure("http: {listen: [\"0.0.0.0:0\"]}\n");
  const auto refused = host.run({"run"});
  CHECK(refused.code == 78);
  CHECK(refused.errors.find(":1: http.listen: 0.0.0.0:0 can be reached from other hosts") != std::string::npos);
}
