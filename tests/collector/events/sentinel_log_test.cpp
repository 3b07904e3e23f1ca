#include "collector/events/sentinel_log.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <numeric>
#include <random>
#include <sys/stat.h>

#include "tests/collector/events/sentinel_home.h"

using namespace fleetledger;
using namespace fleetledger::test;

namespace {

using Numbers = std::vector<int>;

Numbers up_to(int last) {
  Numbers numbers(static_cast<std::size_t>(last));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

std::string lines(int first, int last) {
  std::string text;
  for (int n = first; n <= last; ++n) text += line(n);
  return text;
}

}  // namespace

TEST_CASE("a log is read to its end, once, and what is appended is read after it") {
  const SentinelHome home;
  Ledger ledger;
  ledger.read(home);
  CHECK(ledger.events.empty());
  CHECK_FALSE(ledger.mark);
  home.append(line(1) +
              R"({"sentinel":"memory","kind":"low"})"
              "\n" +
              line_of(1'763'999'999'000, "back", "recovery-reached"));
  ledger.read(home);
  ledger.read(home);
  REQUIRE(ledger.events.size() == 1);
  const auto& event = ledger.events[0];
  CHECK(event.kind == "throttle");
  CHECK(event.source == "session-sentinel");
  CHECK(event.account_key == "default");
  CHECK(event.session_name == "s");
  CHECK(event.reason == "throttle-detected");
  CHECK(event.detail == "1");
  CHECK(event.id.find("session-sentinel:1763999900001:") == 0);
  CHECK(event.id.find_first_not_of("0123456789", event.id.rfind(':') + 1) == std::string::npos);
  REQUIRE(ledger.recoveries.size() == 1);
  CHECK(ledger.recoveries[0].kind == "recovery-reached");
  CHECK(ledger.skips(SkippedLine::other_sentinel) == 1);
  home.append(line(2));
  ledger.read(home);
  CHECK(ledger.numbers() == Numbers{1, 2});
  CHECK(ledger.doubled == 0);
}

TEST_CASE("nothing is opened while the log is as it was") {
  const SentinelHome home;
  home.append(line(1));
  auto question = home.question();
  auto reading = read_sentinel_log(question);
  REQUIRE(reading.seen);
  question.after = reading.mark;
  question.seen = reading.seen;
  CHECK(read_sentinel_log(question).unchanged);
  home.append("{");
  reading = read_sentinel_log(question);
  CHECK_FALSE(reading.unchanged);
  CHECK(reading.mark == question.after);
  question.seen = reading.seen;
  CHECK(read_sentinel_log(question).unchanged);  // half a line is not looked at over and over
}

TEST_CASE("a log that grows by any two pieces gives each event once") {
  const std::string text = lines(1, 3) + "\r\n" + line_of(1'763'999'999'000, "3") + "not JSON\n" + line(4);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    for (const bool rotated : {false, true}) {
      const SentinelHome home;
      Ledger ledger;
      home.append(text.substr(0, cut));
      ledger.read(home);
      home.append(text.substr(cut));
      if (rotated) home.rotate();
      ledger.read(home);
      ledger.read(home);
      CHECK(ledger.events.size() == 5);
      CHECK(ledger.doubled == 0);
      CHECK(ledger.skips(SkippedLine::not_json) == 1);
    }
  }
}

TEST_CASE("reading can be broken off after any event") {
  const SentinelHome home;
  home.append(lines(1, 5));
  home.rotate();
  home.append(lines(6, 9));
  Ledger ledger;
  ledger.read(home, 1);
  CHECK(ledger.numbers() == up_to(9));
  CHECK(ledger.doubled == 0);
}

TEST_CASE("what was renamed is read to its end, and all that was written after it, up to where it is now") {
  for (int before = 0; before <= 2; ++before) {
    for (int generations = 0; generations <= 3; ++generations) {
      const SentinelHome home;
      Ledger ledger;
      home.append(lines(1, before));
      ledger.read(home);
      home.append(lines(before + 1, before + 2));
      int last = before + 2;
      for (int i = 0; i < generations; ++i) {
        home.rotate();
        home.append(lines(last + 1, last + 2));
        last += 2;
      }
      ledger.read(home);
      CHECK(ledger.numbers() == up_to(last));
      home.rotate();
      ledger.read(home);
      home.append(line(last + 1));
      ledger.read(home);
      CHECK(ledger.numbers() == up_to(last + 1));
      CHECK(ledger.doubled == 0);
    }
  }
}

TEST_CASE("the last line of an older generation counts without its break") {
  const SentinelHome home;
  Ledger ledger;
  home.append(line(1) + line(2).substr(0, line(2).size() - 1));
  ledger.read(home);
  CHECK(ledger.numbers() == up_to(1));
  home.rotate();
  ledger.read(home);
  home.append(line(3));
  ledger.read(home);
  CHECK(ledger.numbers() == up_to(3));
}

TEST_CASE("a log whose marked generation is gone is read from the oldest that is left, without doubling") {
  const SentinelHome home;
  Ledger ledger;
  home.append(lines(1, 2));
  home.rotate();
  home.append(lines(3, 4));
  ledger.read(home);
  home.rotate();
  home.append(lines(5, 6));
  home.rotate();
  home.append(lines(7, 8));
  std::filesystem::remove(home.log + ".2");  // the marked one
  ledger.read(home);
  CHECK(ledger.numbers() == up_to(8));
  CHECK(ledger.doubled == 2);  // 1 and 2 came again, under the ids that they had
}

TEST_CASE("a truncated log is read from its beginning, also when it has grown beyond where it was read to") {
  for (const int grown : {0, 1, 2, 3, 7}) {
    const SentinelHome home;
    Ledger ledger;
    home.append(lines(1, 3));
    ledger.read(home);
    home.rewrite(lines(4, 3 + grown));
    ledger.read(home);
    home.append(line(4 + grown));
    ledger.read(home);
    CHECK(ledger.numbers() == up_to(4 + grown));
    CHECK(ledger.doubled == 0);
  }
}

TEST_CASE("a log that was written anew without its beginning doubles nothing") {
  const SentinelHome home;
  Ledger ledger;
  home.append(lines(1, 6));
  ledger.read(home);
  home.rewrite(lines(4, 7));
  ledger.read(home);
  const std::string copy = home.logs + "/new";
  std::ofstream(copy) << lines(5, 8);
  std::filesystem::rename(copy, home.log);
  ledger.read(home);
  CHECK(ledger.numbers() == up_to(8));
}

TEST_CASE("events of one millisecond are all kept, also when they are the same in all bytes") {
  const SentinelHome home;
  const auto same = line_of(1'763'999'999'000, "1");
  Ledger ledger;
  for (int i = 0; i < 50; ++i) {
    home.append(same);
    if (i % 7 == 0) ledger.read(home);
    if (i % 13 == 0) home.append(line_of(1'763'999'999'000, "2"));
    if (i == 20) {
      home.rotate();
      home.append("");
    }
  }
  ledger.read(home);
  CHECK(ledger.events.size() == 54);
  CHECK(ledger.doubled == 0);
  REQUIRE(ledger.mark);
  CHECK(ledger.mark->memory.size() <= 1024);
}

TEST_CASE("the memory of a mark stays short, and nonsense in it does no harm") {
  const SentinelHome home;
  home.append(lines(1, 200));
  Ledger ledger;
  ledger.read(home);
  CHECK(ledger.mark->memory.size() <= 1024);
  for (const auto* nonsense : {"x", "=", "1=", "1=x", " ", "1=1 2", "ffffffffffffffffff=1", "!", "1=99999999999999"}) {
    auto question = home.question(ledger.mark);
    question.after->memory = nonsense;
    CHECK(read_sentinel_log(question).events.empty());
  }
}

TEST_CASE("a line that is too long is skipped, counted once, and costs no memory") {
  const SentinelHome home;
  Ledger ledger;
  const std::string part(1'000'000, 'x');
  home.append(line(1));
  for (int i = 0; i < 10; ++i) {
    home.append(part);
    if (i % 3 == 1) ledger.read(home);
  }
  ledger.read(home);
  CHECK(ledger.mark->offset > 10 * part.size());  // not read again
  home.append("\n" + line(2) + std::string(70'000, 'y') + '\n' + line(3));
  ledger.read(home);
  CHECK(ledger.numbers() == up_to(3));
  CHECK(ledger.skips(SkippedLine::too_long) == 2);
  CHECK(ledger.skips(SkippedLine::not_json) == 0);
}

TEST_CASE("a log is read in pieces of bounded size") {
  const SentinelHome home;
  std::string noise;
  for (int i = 0; i < 20'000; ++i) noise += "{\"sentinel\":\"memory\",\"n\":" + std::to_string(i) + "}\n";
  home.append(noise + line(1));
  auto question = home.question();
  question.most_bytes = 200'000;
  int pieces = 0;
  std::uint64_t bytes = 0;
  for (;;) {
    const auto reading = read_sentinel_log(question);
    ++pieces;
    bytes += reading.bytes;
    CHECK(reading.bytes < 400'000);
    question.after = reading.mark;
    if (!reading.more) {
      CHECK(reading.events.size() == 1);
      break;
    }
  }
  CHECK(pieces > 1);
  CHECK(bytes < 2 * noise.size());
}

TEST_CASE("lines and generations that are older than events are kept are skipped") {
  const SentinelHome home;
  home.append(line_of(1'763'900'000'000, "1"));
  home.rotate();
  home.append(line_of(1'763'900'000'000, "1") + line(2));
  Ledger ledger;
  ledger.read(home);
  CHECK(ledger.numbers() == Numbers{2});
  CHECK(ledger.skips(SkippedLine::old) == 2);
  timespec long_ago[2]{{1'700'000'000, 0}, {1'700'000'000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (home.log + ".1").c_str(), long_ago, 0) == 0);
  Ledger again;
  again.read(home);
  CHECK(again.skips(SkippedLine::old) == 1);
}

TEST_CASE("what is no log of ours is refused with a reason and blocks nobody") {
  const SentinelHome home;
  Ledger ledger;
  SECTION("a FIFO") {
    REQUIRE(::mkfifo(home.log.c_str(), 0600) == 0);
    ledger.read(home);
    CHECK(ledger.problem == "sentinel-events.jsonl: it is a FIFO");
  }
  SECTION("a link") {
    home.agent.write("elsewhere", line(1));
    std::filesystem::create_symlink(home.agent / "elsewhere", home.log);
    ledger.read(home);
    CHECK(ledger.problem == "sentinel-events.jsonl: it is a link");
  }
  SECTION("a folder") {
    std::filesystem::create_directory(home.log);
    ledger.read(home);
    CHECK(ledger.problem == "sentinel-events.jsonl: it is a folder");
  }
  SECTION("somebody else's") {
    home.append(line(1));
    auto question = home.question();
    question.user = ::geteuid() + 1;
    const auto reading = read_sentinel_log(question);
    if (::geteuid() == 0) return;  // root's may be read by everybody
    CHECK(reading.problem == "sentinel-events.jsonl: it belongs to another user");
  }
  SECTION("a link in place of the folder") {
    home.append(line(1));
    std::filesystem::rename(home.logs, home.agent / "moved");
    std::filesystem::create_symlink(home.agent / "moved", home.logs);
    ledger.read(home);
    CHECK(ledger.problem.find("logs: ") == 0);
  }
  CHECK(ledger.events.empty());
  auto question = home.question(ledger.mark);
  auto reading = read_sentinel_log(question);
  if (reading.seen) {  // not looked into again while it stays so
    question.seen = reading.seen;
    CHECK(read_sentinel_log(question).unchanged);
  }
  std::filesystem::remove_all(home.logs);
  std::filesystem::create_directory(home.logs);
  home.append(line(7));
  ledger.read(home);
  CHECK(ledger.problem.empty());
  CHECK(ledger.numbers() == Numbers{7});
}

TEST_CASE("a generation that is refused does not keep back what came after it") {
  const SentinelHome home;
  Ledger ledger;
  home.append(line(1));
  ledger.read(home);
  home.append(line(2));
  home.rotate();
  home.append(line(3));
  std::filesystem::rename(home.log + ".1", home.log + ".kept");
  std::filesystem::create_symlink("/etc/passwd", home.log + ".1");
  ledger.read(home);
  CHECK(ledger.numbers() == up_to(3));
}

TEST_CASE("through a random life of a log every event comes once") {
  for (const unsigned seed : {1U, 2U, 3U, 4U}) {
    std::mt19937 random(seed);
    const auto number = [&random](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
    const SentinelHome home;
    Ledger ledger;
    std::string unwritten;
    int last = 0;
    int renamed = 0;  // since the last reading
    for (int step = 0; step < 400; ++step) {
      switch (number(0, 5)) {
        case 0:
        case 1: {
          if (number(0, 9) > 0 || unwritten.empty()) unwritten += line(++last);
          const auto length = static_cast<std::size_t>(number(0, static_cast<int>(unwritten.size())));
          home.append(unwritten.substr(0, length));
          unwritten.erase(0, length);
          break;
        }
        case 2:
          if (unwritten.empty() && renamed < 2 && std::filesystem::exists(home.log)) {
            home.rotate();
            std::filesystem::remove(home.log + ".4");
            ++renamed;
          }
          break;
        default: {
          auto question = home.question(ledger.mark);
          question.most_events = static_cast<std::size_t>(number(1, 3));
          auto reading = read_sentinel_log(question);
          renamed = reading.more ? renamed : 0;
          if (number(0, 3) > 0)
            ledger.take(std::move(reading));  // otherwise killed before it was kept
          else
            renamed = 2;
        }
      }
    }
    home.append(unwritten);
    ledger.read(home);
    CHECK(ledger.numbers() == up_to(last));
    CHECK(ledger.doubled == 0);
  }
}
