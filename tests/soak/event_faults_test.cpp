#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <set>
#include <unistd.h>

#include "tests/backends/sqlite/plain_sqlite.h"
#include "tests/e2e/host.h"
#include "tests/e2e/ledger.h"
#include "tests/soak/parameters.h"

using namespace fleetledger;
using e2e::Host;
using soak::pick;

// A log of sentinels that is written and rotated while the collector that reads it is killed, again and again.

namespace {

constexpr int kKeptGenerations = 40;

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

/// Writes numbered events, in pieces that end anywhere, as one that opens the log for each of them.
class Writer {
 public:
  Writer(std::string log, std::mt19937_64& random) : log_(std::move(log)), random_(random) {}

  int written = 0;  ///< events, the last perhaps in part

  /// Writes a piece of the log: some events, or a part of one.
  void write_some(int most) {
    while (unwritten_.empty() || (written < most && pick(random_, 0, 2) == 0)) {
      if (written == most) return;
      unwritten_ += R"({"timestamp":)" + std::to_string(now_ms()) +
                    R"(,"sentinel":"rate-limit","kind":"throttle-detected","sessionName":"s","detail":")" +
                    std::to_string(written++) + "\"}\n";
      if (pick(random_, 0, 9) == 0)
        unwritten_ += R"({"timestamp":1,"sentinel":"memory","kind":"low"})"
                      "\n";
    }
    write(
        unwritten_.substr(0, static_cast<std::size_t>(pick(random_, 1, static_cast<std::int64_t>(unwritten_.size())))));
  }
  void finish_line() { write(std::string(unwritten_)); }

  void rotate() {
    finish_line();
    const auto name = [this](int number) { return log_ + '.' + std::to_string(number); };
    std::filesystem::remove(name(kKeptGenerations));
    for (int number = kKeptGenerations; number > 1; --number) {
      if (std::filesystem::exists(name(number - 1))) std::filesystem::rename(name(number - 1), name(number));
    }
    if (std::filesystem::exists(log_)) std::filesystem::rename(log_, name(1));
    ++rotations;
  }
  void truncate() {
    finish_line();
    if (::truncate(log_.c_str(), 0) == 0) ++truncations;
  }
  int rotations = 0;
  int truncations = 0;

 private:
  void write(const std::string& piece) {
    const int file = ::open(log_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    REQUIRE(file >= 0);
    REQUIRE(::write(file, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()));
    ::close(file);
    unwritten_.erase(0, piece.size());
  }

  std::string log_;
  std::mt19937_64& random_;
  std::string unwritten_;
};

struct Fault {
  Host host;
  std::mt19937_64 random = soak::seeded();
  std::string agent = host.make_agent("echo", "{}");
  Writer writer{agent + "/logs/sentinel-events.jsonl", random};
  std::string ledger = e2e::ledger_file(agent);

  Fault() {
    host.register_agents({{"echo", agent}});
    std::filesystem::create_directories(agent + "/logs");
  }

  [[nodiscard]] bool has_events() const {
    return std::filesystem::exists(ledger) &&
           test::PlainDatabase(ledger).value(
               "SELECT count(*) FROM sqlite_master WHERE name IN ('rate_limit_events', 'fleetledger_read_marks')") ==
               "2";
  }
  /// How often each event is there.
  [[nodiscard]] std::map<int, int> recorded() const {
    std::map<int, int> times;
    if (has_events()) {
      for (const auto& row : test::PlainDatabase(ledger).rows("SELECT detail FROM rate_limit_events")) {
        ++times[std::stoi(row.at(0))];
      }
    }
    return times;
  }
  [[nodiscard]] bool has_recorded(int event) const {
    return has_events() && test::PlainDatabase(ledger).value("SELECT count(*) FROM rate_limit_events WHERE detail = '" +
                                                             std::to_string(event) + "'") != "0";
  }
  [[nodiscard]] test::Program start() { return host.start({"run"}); }
  void wait_a_little(int most_ms) { ::poll(nullptr, 0, static_cast<int>(pick(random, 0, most_ms))); }

  /// Writes until so many events are there, with `upheaval` at most twice, at random.
  template <typename Upheaval>
  void write_up_to(int events, int pause_ms, const Upheaval& upheaval) {
    const int first = writer.written;
    int left = 2;
    while (writer.written < events) {
      writer.write_some(events);
      if (left > 0 && writer.written < events && pick(random, 0, 2 * std::max(events - first, 1)) < 3) {
        upheaval();
        --left;
      }
      if (pause_ms > 0 && pick(random, 0, 9) == 0) wait_a_little(pause_ms);
    }
  }
};

}  // namespace

TEST_CASE("through kills and rotations every event is recorded once") {
  const auto events = static_cast<int>(soak::parameter("SOAK_EVENTS", 600));
  const auto kills = static_cast<int>(soak::parameter("SOAK_KILLS", 6));
  Fault fault;
  const auto rotate = [&] { fault.writer.rotate(); };
  int read_before_the_end = 0;
  for (int kill = 0; kill < kills; ++kill) {
    const int goal = events * (kill + 1) / (kills + 1);
    const int half = (fault.writer.written + goal) / 2;
    fault.write_up_to(half, 0, rotate);
    auto collector = fault.start();
    fault.write_up_to(goal, 20, rotate);
    fault.wait_a_little(600);
    collector.signal(SIGKILL);
    CHECK(collector.exit_code() == -SIGKILL);
    read_before_the_end = static_cast<int>(fault.recorded().size());
  }
  auto collector = fault.start();
  fault.write_up_to(events, 5, rotate);
  fault.writer.finish_line();
  REQUIRE(test::await([&] { return fault.has_recorded(events - 1); }));
  collector.signal(SIGTERM);
  CHECK(collector.exit_code() == 0);
  const auto recorded = fault.recorded();
  std::printf("%d events, %d kills, %d rotations; %d recorded before the last start, %zu at the end\n", events, kills,
              fault.writer.rotations, read_before_the_end, recorded.size());
  CHECK(static_cast<int>(recorded.size()) == events);
  CHECK(std::all_of(recorded.begin(), recorded.end(), [](const auto& entry) { return entry.second == 1; }));
  CHECK(e2e::is_intact(fault.agent));
}

TEST_CASE("of a log that is truncated at most what was unread is lost, and nothing is recorded twice") {
  const auto events = static_cast<int>(soak::parameter("SOAK_EVENTS", 600));
  const auto kills = static_cast<int>(soak::parameter("SOAK_KILLS", 6));
  Fault fault;
  std::set<int> may_be_lost;
  int kept_from = 0;  // the events from here on are in the log
  const auto truncate = [&] {
    fault.writer.truncate();
    for (; kept_from < fault.writer.written; ++kept_from) may_be_lost.insert(kept_from);
  };
  for (int kill = 0; kill < kills; ++kill) {
    const int goal = events * (kill + 1) / (kills + 1);
    const int half = (fault.writer.written + goal) / 2;
    fault.write_up_to(half, 0, truncate);
    auto collector = fault.start();
    fault.write_up_to(goal, 20, truncate);
    if (kill % 3 == 2) {
      // All is read: of this nothing may be lost.
      fault.writer.finish_line();
      REQUIRE(test::await([&] { return fault.has_recorded(goal - 1); }));
      const int from = kept_from;
      truncate();
      for (int event = from; event < goal; ++event) may_be_lost.erase(event);
    } else {
      fault.wait_a_little(600);
    }
    collector.signal(SIGKILL);
    CHECK(collector.exit_code() == -SIGKILL);
  }
  auto collector = fault.start();
  fault.write_up_to(events, 5, [] {});
  fault.writer.finish_line();
  REQUIRE(test::await([&] { return fault.has_recorded(events - 1); }));
  collector.signal(SIGTERM);
  CHECK(collector.exit_code() == 0);
  const auto recorded = fault.recorded();
  int lost = 0;
  int lost_but_read = 0;
  for (int event = 0; event < events; ++event) {
    if (recorded.count(event) == 0) {
      ++lost;
      lost_but_read += may_be_lost.count(event) == 0 ? 1 : 0;
    }
  }
  std::printf("%d events, %d kills, %d truncations; %d lost, which were unread\n", events, kills,
              fault.writer.truncations, lost);
  CHECK(lost_but_read == 0);
  CHECK(std::all_of(recorded.begin(), recorded.end(), [](const auto& entry) { return entry.second == 1; }));
}
