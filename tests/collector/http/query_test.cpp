#include "collector/http/query.h"

#include <catch2/catch.hpp>

using namespace fleetledger;

namespace {

using Path = std::vector<std::string>;
using Parameters = std::vector<std::pair<std::string, std::string>>;

Path path_of(std::string_view text) {
  const auto target = parse_target(text);
  REQUIRE(target);
  return target->path;
}

Parameters parameters_of(std::string_view text) {
  const auto target = parse_target(text);
  REQUIRE(target);
  return target->query.all();
}

}  // namespace

TEST_CASE("A path is what stands between its slashes, decoded and not normalised") {
  CHECK(path_of("/") == Path{""});
  CHECK(path_of("/?a=1") == Path{""});
  CHECK(path_of("/agents/echo-1a2b3c4d") == Path{"agents", "echo-1a2b3c4d"});
  CHECK(path_of("/agents/") == Path{"agents", ""});
  CHECK(path_of("//agents") == Path{"", "agents"});
  CHECK(path_of("/a/../b/.") == Path{"a", "..", "b", "."});
  CHECK(path_of("/a%20b/%C3%A9+") == Path{"a b", "\xC3\xA9+"});
}

TEST_CASE("An encoded slash does not split a path") {
  CHECK(path_of("/a%2Fb/c") == Path{"a/b", "c"});
  CHECK(path_of("/..%2f..%2fetc") == Path{"../../etc"});
  CHECK(path_of("/a%3Fb?c") == Path{"a?b"});
}

TEST_CASE("Parameters keep their order and their repetitions") {
  CHECK(parameters_of("/x").empty());
  CHECK(parameters_of("/x?").empty());
  CHECK(parameters_of("/x?b=2&a=1&b=3") == Parameters{{"b", "2"}, {"a", "1"}, {"b", "3"}});
  CHECK(parameters_of("/x?a&b=&=c&&d=e=f") == Parameters{{"a", ""}, {"b", ""}, {"", "c"}, {"d", "e=f"}});
  CHECK(parameters_of("/x?source=session%3Aa+b%2B&q=/?") == Parameters{{"source", "session:a b+"}, {"q", "/?"}});
}

TEST_CASE("A parameter that is given twice has no value that anybody can be sure of") {
  const auto target = parse_target("/x?limit=5&sinceHours=1&limit=6&empty=");
  REQUIRE(target);
  REQUIRE(target->query.only("sinceHours") != nullptr);
  CHECK(*target->query.only("sinceHours") == "1");
  REQUIRE(target->query.only("empty") != nullptr);
  CHECK(target->query.only("empty")->empty());
  CHECK(target->query.only("limit") == nullptr);
  CHECK(target->query.only("source") == nullptr);
}

TEST_CASE("A target that is not well-formed is refused") {
  const auto text = GENERATE(values<std::string>({
      "",
      "agents",
      "http://127.0.0.1/agents",
      "*",
      "?a=1",  // no slash in front
      "/%",
      "/%4",
      "/%zz",
      "/%4g",
      "/a?b=%",
      "/a?%=b",
      "/a?b=%e",
      "/% 41",
      "/%+1",  // not percent-encoding
      "/%00",
      "/a%0a",
      "/a?b=%0d%0aX: y",
      "/a?%7f=1",
      "/a?b=%1b[31m",
      "/%09",  // control characters
      "/%ff",
      "/%C3",
      "/%C0%80",
      "/%ED%A0%80",
      "/a?b=%F5%80%80%80",  // not UTF-8
      "/a b",
      "/a\tb",
      "/\xC3\xA9",
      "/a#b",
      "/a?b#c",
      std::string("/a\0b", 4),
      "/a\x7f"  // to be encoded
  }));
  INFO(text);
  const auto target = parse_target(text);
  REQUIRE_FALSE(target);
  CHECK(target.error().kind == Error::Kind::invalid);
}

TEST_CASE("A query has a bounded number of parameters") {
  std::string text = "/x?a";
  for (std::size_t count = 1; count < Query::kMostParameters; ++count) text += "&a";
  CHECK(parameters_of(text).size() == Query::kMostParameters);
  CHECK_FALSE(parse_target(text + "&a"));
}
