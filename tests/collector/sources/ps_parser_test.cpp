#include "collector/sources/ps_parser.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

// Lines as procps-ng 4.0.2 prints them.
const std::string kInit = "      1       0     0    1236        4   0:19  0.336  1.595  1.5 17144 S<Ll systemd\n";
const std::string kWork = "   7236     999  1000      94       70   1:11 74.737 75.105 75.1  2048 R    work\n";

PsRow only_row(const std::string& line) {
  const auto rows = parse_linux_ps(line);
  REQUIRE(rows);
  REQUIRE(rows->size() == 1);
  return rows->front();
}

std::string line_with(const std::string& state_and_name) {
  return "   7236     999  1000      94       70   1:11 74.737 75.105 75.1  2048 " + state_and_name + "\n";
}

}  // namespace

TEST_CASE("every column of a procps line is read") {
  const auto row = only_row(kWork);
  CHECK(row.pid == 7236);
  CHECK(row.parent == 999);
  CHECK(row.owner == 1000);
  CHECK(row.elapsed == 94s);
  CHECK(row.own.at_least == 70s);
  CHECK(row.own.share_low == Approx(0.74737).margin(0.000006));
  CHECK(row.own.share_high == Approx(0.74737).margin(0.000006));
  CHECK(row.own.share_low < 0.74737);
  CHECK(row.own.share_high > 0.74737);
  CHECK(row.with_reaped.at_least == 71s);
  CHECK(row.with_reaped.share_high == Approx(0.75105).margin(0.000006));
  CHECK(row.resident.value == 2048 * 1024);
  CHECK_FALSE(row.zombie);
  CHECK(row.name.view() == "work");
  CHECK(parse_linux_ps(kInit + kWork)->size() == 2);
}

TEST_CASE("names are read as they are, whatever is in them") {
  CHECK(only_row(line_with("S    a] (x) S 1 2")).name.view() == "a] (x) S 1 2");
  CHECK(only_row(line_with("S    ) (")).name.view() == ") (");
  CHECK(only_row(line_with("S      two first")).name.view() == "  two first");
  CHECK(only_row(line_with("SNsl+ five wide")).name.view() == "five wide");
  CHECK(only_row(line_with("S<Lsl+ six wide")).name.view() == "six wide");
  CHECK(only_row(line_with("S    caf\xc3\xa9 \xe2\x82\xac")).name.view() == "caf\xc3\xa9 \xe2\x82\xac");
  CHECK(only_row(line_with("S    ")).name.view().empty());
  CHECK(only_row(line_with("S")).name.view().empty());
  CHECK(only_row(line_with("S    longer than fifteen bytes")).name.view() == "longer than fif");
}

TEST_CASE("no share is below zero, also where ps contradicts itself") {
  const auto row = only_row("   7236     999  1000      94       70   1:11 99.999 99.999  0.0  2048 R    work\n");
  CHECK(row.with_reaped.share_low == 0);
  CHECK(row.own.share_low >= 0);
}

TEST_CASE("a zombie is known by its state, and ps's remark is no part of its name") {
  const auto zombie = only_row(line_with("Zs   sleep <defunct>"));
  CHECK(zombie.zombie);
  CHECK(zombie.name.view() == "sleep");
  const auto liar = only_row(line_with("S    x <defunct>"));
  CHECK_FALSE(liar.zombie);
  CHECK(liar.name.view() == "x <defunct>");
}

TEST_CASE("a capped share is bounded below, and %cpu stands in for the total with children") {
  const auto row = only_row("   10     1  0  100   129   2:10 99.999 99.999  130  2048 R    work\n");
  CHECK(row.own.share_low == Approx(0.99));
  CHECK(row.own.share_high <= row.own.share_low);  // not known
  CHECK(row.with_reaped.share_low == Approx(1.30).margin(1e-6));
  CHECK(row.with_reaped.share_high == Approx(1.31).margin(1e-6));
  const auto below = only_row("   10     1  0  100    99   1:39 99.999 99.999 99.5  2048 R    work\n");
  CHECK(below.with_reaped.share_low == Approx(0.995).margin(1e-6));
  CHECK(below.with_reaped.share_high == Approx(0.996).margin(1e-6));
}

TEST_CASE("large numbers overflow their columns and are read all the same") {
  const auto row = only_row(
      "4194304 4194303 4294967294 1234567890 123456789 123456789:59 99.999 99.999 102400 "
      "4294967296 S<LNsl+ work\n");
  CHECK(row.pid == 4194304);
  CHECK(row.owner == 4294967294U);
  CHECK(row.elapsed == 1234567890s);
  CHECK(row.own.at_least == 123456789s);
  CHECK(row.with_reaped.at_least == 123456789min + 59s);
  CHECK(row.resident.value == std::int64_t{4294967296} * 1024);
}

TEST_CASE("a line that is not as asked for fails the whole look") {
  for (const std::string bad : {
           "",                                                                                    // an empty line
           "    PID    PPID   UID ELAPSED     TIME   TIME  %CUU   %CUC %CPU   RSS STAT COMMAND",  // a header
           "error: unsupported option",
           "   -1     999  1000      94       70   1:11 74.737 75.105 75.1  2048 R    work",
           "    0     999  1000      94       70   1:11 74.737 75.105 75.1  2048 R    work",
           " 7236       -  1000      94       70   1:11 74.737 75.105 75.1  2048 R    work",
           " 7236     999  root      94       70   1:11 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000       -       70   1:11 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94 00:01:10   1:11 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70     71 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:60 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70    :11 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:1a 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:11    nan 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:11 74.737    inf 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:11 74,737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:11 -4.737 75.105 75.1  2048 R    work",
           " 7236     999  1000      94       70   1:11 74.737 75.105 1e99  2048 R    work",
           " 7236     999  1000      94       70   1:11 74.737 75.105 75.1     - R    work",
           " 7236     999  1000      94       70   1:11 74.737 75.105 75.1  2048",
           " 99999999999999999999 1 0  94   70   1:11 74.737 75.105 75.1  2048 R    work",
           " 7236     999  1000 99999999999999999 70 1:11 74.737 75.105 75.1  2048 R  work",
       }) {
    INFO(bad);
    CHECK_FALSE(parse_linux_ps(kInit + bad + "\n" + kWork));
  }
}

TEST_CASE("output that is empty or breaks off in a line is a failed look, wherever it breaks") {
  CHECK_FALSE(parse_linux_ps(""));
  const auto whole = kInit + kWork;
  REQUIRE(parse_linux_ps(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (length != kInit.size()) {
      INFO(length);
      CHECK_FALSE(parse_linux_ps(whole.substr(0, length)));
    }
  }
}

TEST_CASE("the message of a failed look names the line and quotes nothing of it") {
  const auto failed = parse_linux_ps(kInit + "token=hunter2\n");
  REQUIRE_FALSE(failed);
  CHECK(failed.error().text == "read the output of ps: line 2 is not what was asked for");
}

TEST_CASE("whatever bytes arrive, the parsers end with rows in range or an error") {
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    auto text = kInit + kWork;
    for (auto changes = random() % 6; changes > 0; --changes) {
      const auto place = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[place] = static_cast<char>(random());
          break;
        case 1:
          text.erase(place, random() % 8);
          break;
        default:
          text.insert(place, 1, " \n0:.-9"[random() % 7]);
      }
      if (text.empty()) {
        break;
      }
    }
    if (const auto rows = parse_linux_ps(text)) {
      for (const auto& row : *rows) {
        REQUIRE(row.pid > 0);
        REQUIRE(row.parent >= 0);
        REQUIRE(row.elapsed >= 0s);
        REQUIRE(row.own.at_least >= 0s);
        REQUIRE(row.with_reaped.at_least >= 0s);
        REQUIRE(row.own.share_low >= 0);
        REQUIRE(row.resident.value >= 0);
      }
    }
    static_cast<void>(parse_macos_ps(text));
  }
}

TEST_CASE("macOS output is read after its manual: ages and times with hundredths") {
  const auto rows = parse_macos_ps(
      "    1     0     0 12-03:04:05   1:02.03  11264 Ss   launchd\n"
      "  501     1   501    01:02:03   0:00.00   2048 S    Google Chrome He\n"
      "99999   501   501       00:07 123:45.67 123456 R+   node\n"
      "  502   501   501       01:40  26:40:00     0 Z    (sh)\n");
  REQUIRE(rows);
  REQUIRE(rows->size() == 4);
  CHECK((*rows)[0].elapsed == 12 * 24h + 3h + 4min + 5s);
  CHECK((*rows)[0].own.at_least == 62'030ms);
  CHECK((*rows)[0].resident.value == 11264 * 1024);
  CHECK((*rows)[1].elapsed == 1h + 2min + 3s);
  CHECK((*rows)[1].name.view() == "Google Chrome H");
  CHECK((*rows)[2].elapsed == 7s);
  CHECK((*rows)[2].with_reaped.at_least == 123min + 45'670ms);
  CHECK((*rows)[3].zombie);
  CHECK((*rows)[3].own.at_least == 26h + 40min);
  for (const std::string bad : {"01:2", "1-2", "x-01:02:03", "00:61", ":07", "7", "", "00:07.1", "00:07.123"}) {
    INFO(bad);
    CHECK_FALSE(parse_macos_ps("  501     1   501 " + bad + "  0:00.00   2048 S    a\n"));
  }
}

TEST_CASE("the reaped time of macOS comes from the second output, for the same process only") {
  const auto rows = [](const std::string& text) { return parse_macos_ps(text).value(); };
  const auto merged = merge_macos_ps(rows("  10  1  0  01:40  0:02.00  1 S    same\n"
                                          "  11  1  0  00:00  0:00.01  1 S    recycled\n"
                                          "  12  1  0  00:05  0:01.00  1 S    behind\n"
                                          "  13  1  0  00:00  0:00.20  1 S    new\n"),
                                     rows("  12  1  0  00:05  0:00.90  1 S    behind\n"
                                          "  10  1  0  01:40  0:05.50  1 S    same\n"
                                          "  11  1  0  09:00  7:00.00  1 S    gone\n"));
  REQUIRE(merged.size() == 4);
  CHECK(merged[0].own.at_least == 2s);
  CHECK(merged[0].with_reaped.at_least == 5500ms);
  CHECK(merged[1].with_reaped.at_least == 10ms);
  CHECK(merged[2].with_reaped.at_least == 1s);
  CHECK(merged[3].with_reaped.at_least == 200ms);
}
