#include "config/values.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>

namespace fleetledger {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

TEST_CASE("durations are digits and a unit") {
  CHECK(parse_duration("500ms").value() == 500ms);
  CHECK(parse_duration("10s").value() == 10s);
  CHECK(parse_duration("5m").value() == 5min);
  CHECK(parse_duration("2h").value() == 2h);
  CHECK(parse_duration("7d").value() == 168h);
  CHECK(parse_duration("0s").value() == 0s);
  CHECK(parse_duration("007s").value() == 7s);
}

TEST_CASE("sizes are digits and a unit") {
  CHECK(parse_size("17B").value().value == 17);
  CHECK(parse_size("64KiB").value().value == 65'536);
  CHECK(parse_size("256MiB").value().value == 268'435'456);
  CHECK(parse_size("3GiB").value().value == 3'221'225'472);
  CHECK(parse_size("1TiB").value().value == 1'099'511'627'776);
}

TEST_CASE("what is not a duration or a size is refused") {
  const auto* text = GENERATE("", " ", "s", "ms", "10", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1sec",
                              "1m30s", "0x1s", "1e3s", "1\xC2\xB5s", "١s", "1kb", "1KB", "1K", "64kib", "1s\n");
  CAPTURE(text);
  CHECK(parse_duration(text).error().kind == Error::Kind::invalid);
  CHECK(parse_size(text).error().kind == Error::Kind::invalid);
}

TEST_CASE("what does not fit is refused, never wrapped") {
  CHECK(parse_duration("9223372036854775807ms").value().count() == std::numeric_limits<std::int64_t>::max());
  CHECK(parse_size("8388607TiB").value().value == 8'388'607LL * 1'099'511'627'776);
  const auto* duration = GENERATE("9223372036854775808ms", "9223372036854776s", "106751991168d",
                                  "18446744073709551617s", "99999999999999999999999999999d");
  CAPTURE(duration);
  CHECK_FALSE(parse_duration(duration).has_value());
  const auto* size = GENERATE("9223372036854775808B", "8388608TiB", "16777217TiB", "99999999999999999999999999KiB");
  CAPTURE(size);
  CHECK_FALSE(parse_size(size).has_value());
}

TEST_CASE("the message for a missing unit names the units") {
  CHECK(parse_duration("60").error().text == R"("60" is no duration: the unit is missing (ms, s, m, h, d))");
  CHECK(parse_size("64kb").error().text == R"("64kb" is no size: the unit is one of (B, KiB, MiB, GiB, TiB))");
}

TEST_CASE("durations and sizes are shown in the largest whole unit") {
  CHECK(format_duration(1500ms) == "1500ms");
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(60s) == "1m");
  CHECK(format_duration(24h) == "1d");
  CHECK(format_duration(0ms) == "0s");
  CHECK(format_size(Bytes{65'536}) == "64KiB");
  CHECK(format_size(Bytes{1'025}) == "1025B");
  CHECK(format_size(Bytes{0}) == "0B");
}

TEST_CASE("what is shown reads back as the same") {
  const auto value = GENERATE(take(200, random<std::int64_t>(0, std::numeric_limits<std::int64_t>::max())));
  const auto factor = GENERATE(1LL, 1'000LL, 60'000LL, 1'024LL, 86'400'000LL);
  const std::int64_t number = value / factor * factor;
  CHECK(parse_duration(format_duration(milliseconds{number})).value().count() == number);
  CHECK(parse_size(format_size(Bytes{number})).value().value == number);
}

TEST_CASE("foreign text in a message is one printable line") {
  CHECK(quoted("plain é 漢") == "\"plain é 漢\"");
  CHECK(quoted("a\nb\x1b[31m\x7f") == R"("a\x0ab\x1b[31m\x7f")");
  CHECK(quoted("say \"a\\b\"") == R"("say \"a\\b\"")");
  CHECK(quoted("\xC2\x9B"
               "31m") == R"("\xc2\x9b31m")");
  CHECK(quoted("\xFF\xC3") == R"("\xff\xc3")");
  CHECK(fleetledger::quoted(std::string(1 << 20, 'x')).size() < 100);
  CHECK(find_invalid_utf8(fleetledger::quoted(std::string(79, 'x') + "漢漢漢")) == std::string_view::npos);
}

TEST_CASE("the first byte that is not UTF-8 is found") {
  CHECK(find_invalid_utf8("") == std::string_view::npos);
  CHECK(find_invalid_utf8("aé漢😀") == std::string_view::npos);
  const auto* broken = GENERATE("\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xED\xA0\x80",
                                "\xE2\x82", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF");
  CHECK(find_invalid_utf8(std::string("ab") + broken + "c") == 2);
  CHECK(find_invalid_utf8(std::string("ab") + broken) == 2);
}

}  // namespace
}  // namespace fleetledger
