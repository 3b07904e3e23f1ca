#include "config/sentinel_line.h"

#include <catch2/catch.hpp>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

constexpr WallTime kNow{std::chrono::milliseconds{1'764'000'000'000}};  // 2025-11-24T16:00:00Z

std::variant<SentinelEvent, SkippedLine> parse(const std::string& line) {
  return parse_sentinel_line(line, kNow - 24h, kNow);
}

SentinelEvent event(const std::string& line) {
  const auto parsed = parse(line);
  REQUIRE(std::holds_alternative<SentinelEvent>(parsed));
  return std::get<SentinelEvent>(parsed);
}

std::string skipped(const std::string& line) {
  const auto parsed = parse(line);
  return std::holds_alternative<SkippedLine>(parsed) ? std::string(to_string(std::get<SkippedLine>(parsed))) : "";
}

/// A line that is good but for what is replaced in it.
std::string line(const std::string& member = "", const std::string& instead = "") {
  std::string text =
      R"({"timestamp":"2025-11-24T15:59:59.123Z","sentinel":"rate-limit","kind":"throttle-detected","sessionName":"build","detail":"too fast"})";
  if (!member.empty()) {
    const auto at = text.find('"' + member + '"');
    const auto begin = text.find(':', at) + 1;
    const auto end = text.find_first_of(",}", text[begin] == '"' ? text.find('"', begin + 1) : begin);
    text.replace(begin, end - begin, instead);
  }
  return text;
}

}  // namespace

TEST_CASE("a line of the rate-limit sentinel is read") {
  const auto said = event(line());
  CHECK(said.ts == kNow - 877ms);
  CHECK(said.kind == "throttle-detected");
  CHECK_FALSE(said.recovery);
  CHECK(said.session_name == "build");
  CHECK(said.detail == "too fast");
  CHECK(event(line("timestamp", "1763999999123")).ts == said.ts);
  CHECK(event(line("timestamp", "\"2025-11-24T16:00:00+00:00\"")).ts == kNow);
}

TEST_CASE("detections are throttlings, the other known kinds are recoveries") {
  for (const auto* kind : {"throttle-detected", "throttle-escalated"}) {
    CHECK_FALSE(event(line("kind", '"' + std::string(kind) + '"')).recovery);
  }
  for (const auto* kind : {"throttle-resuming", "throttle-recovered", "recovery-reached", "recovery-unreachable"}) {
    CHECK(event(line("kind", '"' + std::string(kind) + '"')).recovery);
  }
}

TEST_CASE("what is not said is nothing, and a detail that is no text is kept as JSON") {
  const auto bare = event(R"({"sentinel":"rate-limit","timestamp":1763999999123,"kind":"throttle-escalated"})");
  CHECK_FALSE(bare.session_name);
  CHECK_FALSE(bare.detail);
  const auto nulls = event(line("sessionName", "null"));
  CHECK_FALSE(nulls.session_name);
  CHECK_FALSE(event(line("detail", "null")).detail);
  CHECK(event(line("detail", R"({"attempts": [1, 2.5, true]})").substr(0)).detail == R"({"attempts":[1,2.5,true]})");
  CHECK(event(line("detail", "7")).detail == "7");
  // Nested as nobody means it: the event counts, without it.
  CHECK(event(line("detail", std::string(30'000, '[') + std::string(30'000, ']'))).detail == "");
}

TEST_CASE("lines that say nothing of a rate limit are skipped with the reason") {
  CHECK(skipped(line("sentinel", "\"memory\"")) == "other_sentinel");
  CHECK(skipped(line("kind", "\"throttle-forgotten\"")) == "unknown_kind");
  for (const auto* text : {"", "x", "{", "[]", "7", "\"rate-limit\"", "{}{}", "null"}) {
    CHECK(skipped(text) == "not_json");
  }
  CHECK(skipped(line() + "x") == "not_json");
  CHECK(skipped(line().substr(0, 60)) == "not_json");
  CHECK(skipped(line() + std::string(1, '\0')) == "not_json");
  CHECK(skipped(line("sessionName", "\"\xFF\"")) == "not_json");
  CHECK(skipped(std::string(1'000, '[')) == "not_json");
  CHECK(skipped("{}") == "wrong_type");
  CHECK(skipped(line("sentinel", "7")) == "wrong_type");
  CHECK(skipped(line("kind", "null")) == "wrong_type");
  CHECK(skipped(line("sessionName", "7")) == "wrong_type");
  CHECK(skipped(line("sessionName", "[]")) == "wrong_type");
  for (const auto* time : {"null", "true", "\"\"", "\"yesterday\"", "\"1763999999123\"", "\"2025-11-24\"", "-1",
                           "1e300", "1.5", "\"2025-02-30T00:00:00Z\"", "\"2025-11-24T15:00:00+01:00\"", "[]"}) {
    CHECK(skipped(line("timestamp", time)) == "bad_time");
  }
  CHECK(skipped(line("timestamp", "1764000000001")) == "future");
  CHECK(skipped(line("timestamp", "1763913600000")).empty());
  CHECK(skipped(line("timestamp", "1763913599999")) == "old");
  CHECK(skipped(line("detail", '"' + std::string(kLongestSentinelLine, 'x') + '"')) == "too_long");
}

TEST_CASE("of texts that are too long the beginning is kept, cut between characters") {
  const auto said = event(line("detail", '"' + std::string(4'095, 'x') + "\xC3\xA9\""));
  CHECK(said.detail == std::string(4'095, 'x'));
  CHECK(event(line("sessionName", '"' + std::string(2'000, 'x') + '"')).session_name->size() == 1'024);
}
