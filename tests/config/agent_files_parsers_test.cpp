#include <catch2/catch.hpp>
#include <chrono>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "config/agent_config.h"
#include "config/registry.h"
#include "config/session_file.h"

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

AgentConfig config_of(const std::string& text) {
  auto config = parse_agent_config(text);
  REQUIRE(config);
  return *config;
}

template <typename T>
concept Printable = requires(std::ostream& stream, const T& value) {
  stream << value;
};

}  // namespace

TEST_CASE("a registry's entries are read in their order") {
  const auto registry = parse_registry(R"({"version":1,"future":{},"entries":[
    {"name":"echo","type":"standalone","path":"/home/a/echo","port":4040,"pid":123,"status":"running",
     "createdAt":"2025-03-01T12:00:00.000Z","lastHeartbeat":"2025-03-01T12:00:00.000Z","instarVersion":"1.3"},
    {"name":"echo","path":"/home/b/echo","pid":0,"status":"stopped"}]})");
  REQUIRE(registry);
  REQUIRE(registry->entries.size() == 2);
  CHECK(registry->entries[0].name == "echo");
  CHECK(registry->entries[0].path == "/home/a/echo");
  CHECK(registry->entries[0].pid == 123);
  CHECK(registry->entries[0].last_heartbeat == WallTime{1'740'830'400s});
  CHECK(registry->entries[1].path == "/home/b/echo");
  CHECK_FALSE(registry->entries[1].pid);
  CHECK_FALSE(registry->entries[1].last_heartbeat);
  CHECK(registry->remarks.empty());
}

TEST_CASE("an entry of a registry that makes no sense is left out and the others are not") {
  const auto registry = parse_registry(R"({"entries":[7,null,{},{"path":5},{"path":"relative"},{"path":"/a\u0000b"},
    {"path":"/good/one","name":7,"pid":"12","lastHeartbeat":"yesterday"},{"path":"/good/two/","pid":-4},
    {"path":"/good/three","name":"x","pid":99999999999}]})");
  REQUIRE(registry);
  REQUIRE(registry->entries.size() == 3);
  CHECK(registry->entries[0].name == "one");
  CHECK_FALSE(registry->entries[0].pid);
  CHECK_FALSE(registry->entries[0].last_heartbeat);
  CHECK(registry->entries[1].name == "two");
  CHECK_FALSE(registry->entries[1].pid);
  CHECK_FALSE(registry->entries[2].pid);
  CHECK(registry->remarks.size() == 8);  // six skipped, two without a name
}

TEST_CASE("a registry of rubbish gives a bounded number of remarks") {
  std::string text = R"({"entries":[0)";
  for (int i = 0; i < 10'000; ++i) text += ",0";
  const auto registry = parse_registry(text + "]}");
  REQUIRE(registry);
  CHECK(registry->remarks.size() < 50);
  CHECK(registry->remarks.back() == "and 9981 more of this kind");
}

TEST_CASE("a text that is no registry is an error") {
  for (const std::string text : {"", "[]", "{}", R"({"entries":{}})", R"({"entries":[)", "null"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_registry(text));
    CHECK_FALSE(parse_port_registry(text));
  }
}

TEST_CASE("the port registry of former versions is read by its own names") {
  const auto registry = parse_port_registry(
      R"({"entries":[{"projectName":"old","projectDir":"/srv/old","port":4041,"pid":55,"lastHeartbeat":1740830400000}]})");
  REQUIRE(registry);
  REQUIRE(registry->entries.size() == 1);
  CHECK(registry->entries[0].name == "old");
  CHECK(registry->entries[0].path == "/srv/old");
  CHECK(registry->entries[0].pid == 55);
  CHECK(registry->entries[0].last_heartbeat == WallTime{1'740'830'400s});
}

TEST_CASE("an agent's config is read as far as it is needed") {
  const AgentConfig config = config_of(R"({"projectName":"echo","port":4042,"authToken":"0123456789abcdef",
    "developmentAgent":true,"sessions":{"tmuxPath":"/usr/bin/tmux","protectedSessions":["echo-server"]},
    "monitoring":{"other":1,"resourceLedger":{"enabled":false,"sampleIntervalMs":30000,"idleSampleIntervalMs":120000,
    "retentionDays":1.5}}})");
  CHECK(config.project_name == "echo");
  CHECK(config.port == 4042);
  CHECK(config.token.kind == AgentToken::Kind::readable);
  CHECK(config.token.secret.reveal() == "0123456789abcdef");
  CHECK(config.tmux_path == "/usr/bin/tmux");
  CHECK(config.development_agent == Flag::yes);
  CHECK(config.ledger_enabled == Flag::no);
  CHECK(config.sample_interval == 30s);
  CHECK(config.idle_sample_interval == 120s);
  CHECK(config.retention == 36h);
  CHECK(config.remarks.empty());
}

TEST_CASE("an empty config is one where all is absent") {
  const AgentConfig config = config_of("{}");
  CHECK(config.project_name.empty());
  CHECK_FALSE(config.port);
  CHECK(config.token.kind == AgentToken::Kind::absent);
  CHECK(config.development_agent == Flag::absent);
  CHECK(config.ledger_enabled == Flag::absent);
  CHECK_FALSE(config.sample_interval);
  CHECK_FALSE(config.retention);
  CHECK(config.remarks.empty());
}

TEST_CASE("values of a wrong type in a config are taken as absent, with a remark that names the key") {
  const AgentConfig config = config_of(R"({"projectName":7,"port":"4042","authToken":12345,"developmentAgent":"yes",
    "sessions":[],"monitoring":{"resourceLedger":{"enabled":"false","sampleIntervalMs":"1000","retentionDays":null}}})");
  CHECK(config.project_name.empty());
  CHECK_FALSE(config.port);
  CHECK(config.token.kind == AgentToken::Kind::absent);
  CHECK(config.development_agent == Flag::wrong_type);
  CHECK(config.ledger_enabled == Flag::wrong_type);
  CHECK_FALSE(config.sample_interval);
  CHECK_FALSE(config.retention);
  REQUIRE(config.remarks.size() == 7);
  CHECK(config.remarks.back() == "monitoring.resourceLedger.sampleIntervalMs is not a number: the default is used");
}

TEST_CASE("numbers out of range in a config fall back to the default") {
  for (const std::string number : {"0", "-1", "-60000", "1e15", "86400001"}) {
    const AgentConfig config = config_of(R"({"monitoring":{"resourceLedger":{"sampleIntervalMs":)" + number + "}}}");
    CHECK_FALSE(config.sample_interval);
    CHECK(config.remarks.size() == 1);
  }
  for (const std::string number : {"0", "-7", "0.0001", "3651", "1e300"}) {
    CHECK_FALSE(config_of(R"({"monitoring":{"resourceLedger":{"retentionDays":)" + number + "}}}").retention);
  }
  CHECK_FALSE(config_of(R"({"port":0})").port);
  CHECK_FALSE(config_of(R"({"port":65536})").port);
}

TEST_CASE("a key that is there twice counts as its last and is remarked on") {
  const AgentConfig config = config_of(R"({"developmentAgent":true,"developmentAgent":false})");
  CHECK(config.development_agent == Flag::no);
  REQUIRE(config.remarks.size() == 1);
  CHECK(config.remarks[0] == "developmentAgent is there twice: the last counts");
}

TEST_CASE("a token may be kept where we cannot read it") {
  CHECK(config_of(R"({"authToken":{"secret":true}})").token.kind == AgentToken::Kind::encrypted);
  CHECK(config_of(R"({"authToken":{"secret":false}})").token.kind == AgentToken::Kind::absent);
  CHECK(config_of(R"({"authToken":""})").token.kind == AgentToken::Kind::absent);
  CHECK(config_of(R"({"authToken":null})").token.kind == AgentToken::Kind::absent);
}

TEST_CASE("no value of a config shows in its remarks") {
  const AgentConfig config = config_of(R"({"authToken":["hunter2"],"projectName":{"hunter2":"hunter2"},
    "developmentAgent":"hunter2","port":"hunter2","monitoring":"hunter2","sessions":{"tmuxPath":["hunter2"]}})");
  CHECK(config.remarks.size() == 6);
  for (const std::string& remark : config.remarks) CHECK(remark.find("hunter2") == std::string::npos);
  STATIC_REQUIRE_FALSE(Printable<Secret>);
  STATIC_REQUIRE_FALSE(Printable<AgentToken>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<Secret, std::string>);
}

TEST_CASE("a config that is no object is an error") {
  for (const std::string text : {"", "[]", "7", "null", "{\"a\":"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_agent_config(text));
  }
}

TEST_CASE("a session is live while it is starting or running") {
  for (const auto& [status, live] : {std::pair{"starting", true},
                                     {"running", true},
                                     {"completed", false},
                                     {"failed", false},
                                     {"killed", false},
                                     {"unheard-of", false},
                                     {"", false}}) {
    CAPTURE(status);
    const auto file = parse_session_file("s1", R"({"status":")" + std::string(status) + "\"}");
    REQUIRE(file);
    CHECK(file->live == live);
  }
}

TEST_CASE("a session file gives the session's names, start and whether it was superseded") {
  const auto file = parse_session_file("s1", R"({"id":"other","name":"a \"b\"\n) ]","status":"running",
    "tmuxSession":"echo-s1","startedAt":"2025-03-01T12:00:00.000Z","supersededBy":"s2","model":"m","cwd":"/x"})");
  REQUIRE(file);
  CHECK(file->session == Session{"s1", "a \"b\"\n) ]", "echo-s1", WallTime{1'740'830'400s}, true});
}

TEST_CASE("what is missing in a session file is empty") {
  const auto file = parse_session_file("s1", R"({"status":"running","name":7,"startedAt":"now","supersededBy":null})");
  REQUIRE(file);
  CHECK(file->session == Session{"s1", "", "", WallTime{}, false});
}

TEST_CASE("a session file without a status is an error") {
  for (const std::string text : {"", "{}", "[]", R"({"status":7})", R"({"status":"runn)", R"({"status":null})"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_session_file("s1", text));
  }
}
