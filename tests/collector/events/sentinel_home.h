#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include "collector/events/sentinel_log.h"
#include "tests/support/temp_dir.h"

namespace fleetledger::test {

inline constexpr WallTime kNow{std::chrono::milliseconds{1'764'000'000'000}};

/// A line, with its break, of the rate-limit sentinel.
inline std::string line_of(std::int64_t ts, const std::string& detail, const std::string& kind = "throttle-detected") {
  return R"({"timestamp":)" + std::to_string(ts) + R"(,"sentinel":"rate-limit","kind":")" + kind +
         R"(","sessionName":"s","detail":")" + detail + "\"}\n";
}
/// The n-th of a log: a millisecond after the one before.
inline std::string line(int n) { return line_of(kNow.time_since_epoch().count() - 100'000 + n, std::to_string(n)); }

/// An agent's folder with its log.
struct SentinelHome {
  TempDir agent;
  std::string logs = agent / "logs";
  std::string log = logs + "/sentinel-events.jsonl";

  SentinelHome() { std::filesystem::create_directory(logs); }

  void append(const std::string& text) const { std::ofstream(log, std::ios::binary | std::ios::app) << text; }
  void rewrite(const std::string& text) const { std::ofstream(log, std::ios::binary | std::ios::trunc) << text; }
  /// log -> log.1 -> log.2 -> ...
  void rotate() const {
    int last = 1;
    while (std::filesystem::exists(log + '.' + std::to_string(last))) ++last;
    for (; last > 1; --last) {
      std::filesystem::rename(log + '.' + std::to_string(last - 1), log + '.' + std::to_string(last));
    }
    std::filesystem::rename(log, log + ".1");
  }
  [[nodiscard]] LogQuestion question(const std::optional<ReadMark>& after = std::nullopt) const {
    return {.agent_path = agent.path(),
            .user = ::geteuid(),
            .after = after,
            .oldest = kNow - std::chrono::hours{24},
            .newest = kNow};
  }
};

/// Who reads a log piece by piece and keeps what a ledger would keep.
struct Ledger {
  std::optional<ReadMark> mark;
  std::vector<RateLimitEvent> events;
  std::vector<RateLimitEvent> recoveries;
  std::set<std::string> ids;
  SkippedLines skipped{};
  int doubled = 0;  ///< events that came again
  std::string problem;

  void take(LogReading reading) {
    mark = reading.mark;
    for (auto& event : reading.events) {
      if (ids.insert(event.id).second) {
        events.push_back(std::move(event));
      } else {
        ++doubled;
      }
    }
    for (auto& event : reading.recoveries) recoveries.push_back(std::move(event));
    for (std::size_t why = 0; why < skipped.size(); ++why) skipped[why] += reading.skipped[why];
    problem = reading.problem;
  }
  void read(const SentinelHome& home, std::size_t at_once = 500) {
    for (bool more = true; more;) {
      auto question = home.question(mark);
      question.most_events = at_once;
      auto reading = read_sentinel_log(question);
      more = reading.more;
      take(std::move(reading));
    }
  }
  [[nodiscard]] std::vector<int> numbers() const {
    std::vector<int> numbers;
    for (const auto& event : events) numbers.push_back(std::stoi(event.detail.value()));
    return numbers;
  }
  [[nodiscard]] std::uint64_t skips(SkippedLine why) const { return skipped[static_cast<std::size_t>(why)]; }
};

}  // namespace fleetledger::test
