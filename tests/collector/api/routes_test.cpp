#include "collector/api/routes.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <rapidjson/document.h>
#include <set>
#include <sstream>

using namespace fleetledger;

TEST_CASE("the README's list of routes is the table") {
  std::ifstream file(std::string(FLEETLEDGER_SOURCE_DIR) + "/README.md", std::ios::binary);
  REQUIRE(file);
  std::ostringstream content;
  content << file.rdbuf();
  const std::string readme = content.str();
  const std::string begin = "<!-- routes: begin -->\n";
  const std::size_t from = readme.find(begin);
  const std::size_t to = readme.find("<!-- routes: end -->");
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  CHECK(readme.substr(from + begin.size(), to - from - begin.size()) == routes_markdown());
}

TEST_CASE("the OpenAPI document names each route of the table once, with its parameters and its answer") {
  rapidjson::Document document;
  document.Parse(openapi_json().c_str());
  REQUIRE_FALSE(document.HasParseError());
  CHECK(document["paths"].MemberCount() == routes().size());
  for (const auto& route : routes()) {
    CAPTURE(route.path);
    REQUIRE(document["paths"].HasMember(std::string(route.path).c_str()));
    const auto& get = document["paths"][std::string(route.path).c_str()]["get"];
    std::set<std::string> queries;
    for (const auto& parameter : get["parameters"].GetArray()) {
      if (std::string(parameter["in"].GetString()) == "query") {
        queries.insert(parameter["name"].GetString());
      }
    }
    std::set<std::string> expected;
    for (const auto& parameter : route.parameters) {
      expected.emplace(parameter.name);
    }
    CHECK(queries == expected);
    CHECK(get["security"].Empty() == (route.who == Who::anyone));
    CHECK(get["responses"].HasMember("200"));
  }
}

TEST_CASE("a path fits its route segment by segment") {
  const Route route{.path = "/agents/{id}/resources/summary"};
  const std::vector<std::string> path{"agents", "a b", "resources", "summary"};
  REQUIRE(route.match(path));
  CHECK(*route.match(path)->at(0) == "a b");
  CHECK(route.match(path)->at(1) == nullptr);
  CHECK_FALSE(route.match({"agents", "", "resources", "summary"}));
  CHECK_FALSE(route.match({"agents", "x", "resources"}));
  CHECK_FALSE(route.match({"agents", "x", "resources", "summary", ""}));
  CHECK_FALSE(route.match({"", "agents", "x", "resources", "summary"}));
  CHECK_FALSE(route.match({"agents", "x", "Resources", "summary"}));
  const Route plain{.path = "/healthz"};
  REQUIRE(plain.match({"healthz"}));
  CHECK(plain.match({"healthz"})->at(0) == nullptr);

  const Route two{.path = "/agents/{id}/rate-limits/{eventId}/context"};
  const std::vector<std::string> both{"agents", "x", "rate-limits", "session-sentinel:1:0", "context"};
  REQUIRE(two.match(both));
  CHECK(*two.match(both)->at(0) == "x");
  CHECK(*two.match(both)->at(1) == "session-sentinel:1:0");
  CHECK_FALSE(two.match({"agents", "x", "rate-limits", "", "context"}));
  CHECK_FALSE(two.match({"agents", "x", "rate-limits", "session-sentinel:1:0"}));
}

TEST_CASE("no route of the table has more segments in braces than there is room for") {
  for (const auto& route : routes()) {
    CHECK(static_cast<std::size_t>(std::count(route.path.begin(), route.path.end(), '{')) <= Variables().size());
  }
}
