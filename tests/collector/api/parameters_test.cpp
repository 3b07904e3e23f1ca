#include "collector/api/parameters.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

using namespace fleetledger;

namespace {

Query one(const std::string& name, const std::string& value) {
  return Query(std::vector<std::pair<std::string, std::string>>{{name, value}});
}

}  // namespace

TEST_CASE("a number is read as JavaScript's Number() reads it") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::pair<const char*, double> numbers[] = {{"", 0},
                                                    {"  ", 0},
                                                    {"7", 7},
                                                    {" 7 ", 7},
                                                    {"007", 7},
                                                    {"1.5", 1.5},
                                                    {".5", 0.5},
                                                    {"5.", 5},
                                                    {"+5", 5},
                                                    {"-5", -5},
                                                    {"1e3", 1000},
                                                    {"1E-2", 0.01},
                                                    {"0x1F", 31},
                                                    {"0XfF", 255},
                                                    {"0o17", 15},
                                                    {"0b101", 5},
                                                    {"Infinity", kInfinity},
                                                    {"-Infinity", -kInfinity},
                                                    {"1e999", kInfinity},
                                                    {"1e-999", 0},
                                                    {"\u00A012\uFEFF", 12},
                                                    {"\u30003", 3},
                                                    {"9007199254740993", 9007199254740992.0},
                                                    {"-0", 0}};
  for (const auto& [text, number] : numbers) {
    CAPTURE(text);
    CHECK(javascript_number(text) == number);
  }
  for (const auto* text : {"x",   "5px",      "1 2",      "1,5", "1_000", "0x",    "0xg",   "-0x10", "+0x10", "0b2",
                           "0o8", "infinity", "INFINITY", "inf", "nan",   "NaN",   "--5",   "+-5",   "-+5",   "5e",
                           "e5",  ".",        "+",        "-",   "1.2.3", "0x1p3", "1e5.5", "null",  "true"}) {
    CAPTURE(text);
    CHECK(std::isnan(javascript_number(text)));
  }
}

TEST_CASE("what is no positive number is the default") {
  const auto hours = [](const char* text) { return positive_number(one("sinceHours", text), "sinceHours", 24); };
  for (const auto* text : {"", "0", "-1", "abc", "NaN", "Infinity", "1e999", "-0.0", "1h"}) {
    CAPTURE(text);
    CHECK(hours(text) == 24);
  }
  CHECK(hours("0.5") == 0.5);
  CHECK(hours("0x10") == 16);
  CHECK(positive_number(Query(), "sinceHours", 24) == 24);
  CHECK(positive_number(Query({{"sinceHours", "1"}, {"sinceHours", "2"}}), "sinceHours", 24) == 24);
}

TEST_CASE("a limit is whole, at least one and never above the most") {
  const auto limit = [](const char* text) { return limited_count(one("limit", text), "limit", 200, 2000); };
  for (const auto* text : {"", "0", "-5", "0.9", "many", "Infinity", "-Infinity"}) {
    CAPTURE(text);
    CHECK(limit(text) == 200);
  }
  CHECK(limit("1") == 1);
  CHECK(limit("2.9") == 2);
  CHECK(limit("2000") == 2000);
  CHECK(limit("2001") == 2000);
  CHECK(limit("1e300") == 2000);
}
