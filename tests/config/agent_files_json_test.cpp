#include <catch2/catch.hpp>
#include <chrono>
#include <initializer_list>
#include <string>

#include "config/json.h"
#include "config/timestamp.h"

using namespace fleetledger;
using namespace std::chrono_literals;

TEST_CASE("a JSON value is asked for what it should be, and says nothing if it is something else") {
  const auto document = JsonDocument::parse(R"({"t":"x","b":true,"n":1.5,"i":7,"z":null,"a":[1,2],"o":{"k":"v"}})");
  REQUIRE(document);
  const JsonValue root = document->root();
  CHECK(root.member("t").text() == "x");
  CHECK(root.member("b").boolean() == true);
  CHECK(root.member("n").number() == 1.5);
  CHECK(root.member("i").integer() == 7);
  CHECK(root.member("z").is_null());
  CHECK(root.member("a").size() == 2);
  CHECK(root.member("a").element(1).integer() == 2);
  CHECK(root.member("o").member("k").text() == "v");

  CHECK_FALSE(root.member("t").boolean());
  CHECK_FALSE(root.member("t").number());
  CHECK_FALSE(root.member("n").integer());
  CHECK_FALSE(root.member("i").text());
  CHECK_FALSE(root.member("a").element(2).present());
  CHECK_FALSE(root.member("nothing").present());
  CHECK_FALSE(root.member("nothing").member("below").element(3).text());
  CHECK(root.member("nothing").short_text(3).empty());
}

TEST_CASE("of members with one name the last counts, as in JavaScript") {
  const auto document = JsonDocument::parse(R"({"a":1,"b":2,"a":3})");
  REQUIRE(document);
  CHECK(document->root().member("a").integer() == 3);
  CHECK(document->root().count("a") == 2);
  CHECK(document->root().count("b") == 1);
}

TEST_CASE("text that is not one whole JSON value is refused with the place") {
  for (const std::string& text : std::initializer_list<std::string>{"",
                                                                    " ",
                                                                    "{",
                                                                    "{\"a\":1",
                                                                    "{\"a\":1}}",
                                                                    "{'a':1}",
                                                                    "nul",
                                                                    "{\"a\":1,}",
                                                                    {"{}\0", 3},
                                                                    "\"\xC3\"",
                                                                    "\"\xED\xA0\x80\"",
                                                                    "{\"\xFF\":1}",
                                                                    "1e999"}) {
    CAPTURE(text);
    const auto document = JsonDocument::parse(text);
    REQUIRE_FALSE(document);
    CHECK(document.error().kind == Error::Kind::invalid);
    CHECK_FALSE(document.error().text.empty());
  }
}

TEST_CASE("a byte order mark may stand before a JSON value, and no part of one") {
  CHECK(JsonDocument::parse("\xEF\xBB\xBF{}"));
  for (const std::string part : {"\xEF", "\xBB", "\xBF", "\xEF\xBB", "\xBB\xBF", "\xEF\xBB\xBF\xEF\xBB\xBF"}) {
    CHECK_FALSE(JsonDocument::parse(part + "{}"));
  }
  CHECK(JsonDocument::parse("\xEF\xBB\xBF[x]").error().text.ends_with("(byte 4)"));
}

TEST_CASE("half a surrogate pair, as JavaScript leaves it when it cuts a text, is a replacement character") {
  const auto text_of = [](const std::string& json) {
    const auto document = JsonDocument::parse(json);
    return document ? std::string(document->root().text().value_or("no text")) : document.error().text;
  };
  CHECK(text_of(R"("a\ud83d")") == "a\uFFFD");
  CHECK(text_of(R"("\ud83d\u0041")") == "\uFFFDA");
  CHECK(text_of(R"("\uDE00 x")") == "\uFFFD x");
  CHECK(text_of(R"("\uDE00\uD83D\uD83D\uDE00")") == "\uFFFD\uFFFD\U0001F600");
  CHECK(text_of(R"("\ud83d\ude00")") == "\U0001F600");
  CHECK(text_of(R"("\\ud83d")") == R"(\ud83d)");
  CHECK(text_of(R"("\\\ud83d")") == "\\\uFFFD");
  CHECK(text_of(R"("\ud83)").ends_with("(byte 1)"));
  CHECK(text_of("\"\\").starts_with("it is not JSON"));
}

TEST_CASE("a million open brackets cost no stack") {
  const std::string open(1'000'000, '[');
  CHECK_FALSE(JsonDocument::parse(open));
  const auto deep = JsonDocument::parse(open + std::string(open.size(), ']'));
  REQUIRE(deep);
  CHECK(deep->root().size() == 1);
}

TEST_CASE("a long text is cut between two characters") {
  const auto document = JsonDocument::parse("\"a\xC3\xA9\xE2\x82\xAC\"");
  REQUIRE(document);
  CHECK(document->root().short_text(100) == "a\xC3\xA9\xE2\x82\xAC");
  CHECK(document->root().short_text(6) == "a\xC3\xA9\xE2\x82\xAC");
  CHECK(document->root().short_text(5) == "a\xC3\xA9");
  CHECK(document->root().short_text(2) == "a");
  CHECK(document->root().short_text(0).empty());
}

TEST_CASE("whole numbers are exact or not there") {
  const auto document = JsonDocument::parse("[9223372036854775807,9223372036854775808,1e3,-5,1e300]");
  REQUIRE(document);
  CHECK(document->root().element(0).integer() == 9'223'372'036'854'775'807);
  CHECK_FALSE(document->root().element(1).integer());
  CHECK(document->root().element(2).integer() == 1'000);
  CHECK(document->root().element(3).integer() == -5);
  CHECK_FALSE(document->root().element(4).integer());
}

TEST_CASE("an ISO timestamp is read to the millisecond, in UTC") {
  // Seconds since 1970 as `date -u -d ... +%s` gives them.
  CHECK(parse_iso_timestamp("1970-01-01T00:00:00Z") == WallTime{0ms});
  CHECK(parse_iso_timestamp("2025-03-01T12:00:00Z") == WallTime{1'740'830'400s});
  CHECK(parse_iso_timestamp("2024-02-29T23:59:59.123Z") == WallTime{1'709'251'199'123ms});
  CHECK(parse_iso_timestamp("2024-02-29T23:59:59.1Z") == WallTime{1'709'251'199'100ms});
  CHECK(parse_iso_timestamp("2024-02-29T23:59:59.123999999+00:00") == WallTime{1'709'251'199'123ms});
  CHECK(parse_iso_timestamp("9999-12-31T23:59:59.999Z") == WallTime{253'402'300'799'999ms});
}

TEST_CASE("anything that is not such a timestamp is none") {
  for (const std::string text : {"",
                                 "2025",
                                 "2025-03-01",
                                 "2025-03-01T12:00Z",
                                 "2025-03-01T12:00:00",
                                 "2025-03-01 12:00:00Z",
                                 "2025-03-01T12:00:00+01:00",
                                 "2025-02-29T12:00:00Z",
                                 "2025-13-01T12:00:00Z",
                                 "2025-00-01T12:00:00Z",
                                 "2025-04-31T12:00:00Z",
                                 "2025-03-01T24:00:00Z",
                                 "2025-03-01T12:60:00Z",
                                 "2025-03-01T12:00:60Z",
                                 "2025-03-01T12:00:00.Z",
                                 "2025-03-01T12:00:00.1234567890Z",
                                 "2025-03-01T12:00:00Zx",
                                 "1969-12-31T23:59:59Z",
                                 "-025-03-01T12:00:00Z",
                                 "+2025-03-01T12:00:00Z",
                                 "2025-3-1T12:00:00Z",
                                 "2025-03-01t12:00:00z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_iso_timestamp(text));
  }
}

TEST_CASE("a timestamp may be a number of milliseconds") {
  const auto document = JsonDocument::parse(R"([1700000000000,-1,253402300800000,"2025-03-01T12:00:00Z",true,1.5])");
  REQUIRE(document);
  CHECK(read_timestamp(document->root().element(0)) == WallTime{1'700'000'000'000ms});
  CHECK_FALSE(read_timestamp(document->root().element(1)));
  CHECK_FALSE(read_timestamp(document->root().element(2)));
  CHECK(read_timestamp(document->root().element(3)) == WallTime{1'740'830'400s});
  CHECK_FALSE(read_timestamp(document->root().element(4)));
  CHECK_FALSE(read_timestamp(document->root().element(5)));
}
