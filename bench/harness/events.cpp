#include "bench/harness/events.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <stdexcept>
#include <unistd.h>
#include <vector>

#include "backends/backends.h"
#include "bench/harness/json.h"
#include "collector/events/sentinel_log.h"

namespace fleetledger::bench {
namespace {

constexpr int kRounds = 5;
constexpr int kLooks = 1'000;
constexpr double kLeastPerSecond = 100'000;

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error(what); }

template <typename T>
void expect(const Result<T>& result) {
  if (!result) give_up(result.error().text);
}

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// An agent of its own, gone with this object.
class Place {
 public:
  Place() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetledger-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) give_up("make a temporary folder");
    path_ = std::filesystem::canonical(name);
    std::filesystem::create_directories(path_ / "logs");
    std::filesystem::create_directories(path_ / ".instar");
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string path() const { return path_; }
  [[nodiscard]] std::string log() const { return path_ / "logs" / std::string(kSentinelLogName); }

 private:
  std::filesystem::path path_;
};

/// A log of kEventLines lines, of which each `lines_per_event`th is an event.
void write_log(const std::string& file, WallTime now, std::int64_t lines_per_event) {
  std::ofstream out(file);
  for (std::int64_t line = 0; line < kEventLines; ++line) {
    const auto ts = now.time_since_epoch().count() - kEventLines + line;
    if (line % lines_per_event == 0) {
      out << fmt::format(
          R"({{"timestamp":{},"sentinel":"rate-limit","kind":"throttle-detected","sessionName":"s{}-build","detail":"429 too many requests, attempt {}"}})",
          ts, line % 50, line);
    } else {
      out << fmt::format(
          R"({{"timestamp":{},"sentinel":"memory","kind":"pressure","sessionName":"s{}-build","detail":"resident memory is above the limit for {} s"}})",
          ts, line % 50, line);
    }
    out << '\n';
  }
  if (!out.flush()) give_up("write a log");
}

/// Reads it as the collector does at first sight; how many seconds that takes.
double read_whole(const Place& place, WallTime now, std::int64_t expected) {
  auto store = open_store("sqlite", {.central_directory = place.path() + "/central"});
  expect(store);
  const LedgerKey ledger{{"bench", "bench", place.path()}, LedgerLocation::agent};
  LogQuestion question{.agent_path = place.path(),
                       .user = ::geteuid(),
                       .after = std::nullopt,
                       .oldest = now - std::chrono::hours{24},
                       .newest = now};
  std::int64_t events = 0;
  const double begin = seconds(CLOCK_MONOTONIC);
  for (bool more = true; more;) {
    auto reading = read_sentinel_log(question);
    if (!reading.problem.empty() || !reading.mark) give_up("read a log: " + reading.problem);
    events += static_cast<std::int64_t>(reading.events.size());
    AgentTick tick;
    tick.events = std::move(reading.events);
    tick.marks[std::string(kSentinelLog)] = *reading.mark;
    expect((*store)->append(ledger, tick));
    question.after = reading.mark;
    more = reading.more;
  }
  const double took = seconds(CLOCK_MONOTONIC) - begin;
  if (events != expected) give_up("not every event is found");
  const auto report = (*store)->rate_limit_report(ledger, now - std::chrono::hours{24});
  expect(report);
  if (report->total != expected) give_up("not every event is in the ledger");
  (*store)->release(ledger);
  std::filesystem::remove_all(place.path() + "/.instar");
  std::filesystem::create_directories(place.path() + "/.instar");
  return took;
}

double count_lines(const std::string& file) {
  const double begin = seconds(CLOCK_MONOTONIC);
  std::ifstream in(file, std::ios::binary);
  std::vector<char> piece(std::size_t{128} << 10U);
  std::int64_t lines = 0;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    lines += std::count(piece.begin(), piece.begin() + in.gcount(), '\n');
  }
  if (lines != kEventLines) give_up("count lines");
  return seconds(CLOCK_MONOTONIC) - begin;
}

/// CPU time of a look at a log that is as it was.
double look(const Place& place, WallTime now) {
  LogQuestion question{
      .agent_path = place.path(), .user = ::geteuid(), .after = std::nullopt, .oldest = now, .newest = now};
  for (bool more = true; more;) {
    const auto reading = read_sentinel_log(question);
    question.after = reading.mark;
    question.seen = reading.seen;
    more = reading.more;
  }
  const double begin = seconds(CLOCK_THREAD_CPUTIME_ID);
  for (int number = 0; number < kLooks; ++number) {
    if (!read_sentinel_log(question).unchanged) give_up("look at a log that is as it was");
  }
  return (seconds(CLOCK_THREAD_CPUTIME_ID) - begin) / kLooks * 1e6;
}

EventCost measure() {
  const WallTime now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const Place mixed;
  const Place all;
  write_log(mixed.log(), now, kLinesPerEvent);
  write_log(all.log(), now, 1);
  std::vector<double> mixed_s, all_s, bare_s, looks;
  for (int round = 0; round < kRounds; ++round) {
    mixed_s.push_back(read_whole(mixed, now, kEventLines / kLinesPerEvent));
    all_s.push_back(read_whole(all, now, kEventLines));
    bare_s.push_back(count_lines(mixed.log()));
    looks.push_back(look(mixed, now));
  }
  return {static_cast<std::int64_t>(std::filesystem::file_size(mixed.log())), spread_of(std::move(mixed_s)),
          spread_of(std::move(all_s)), spread_of(std::move(bare_s)), spread_of(std::move(looks))};
}

double per_second(const Spread& took) { return static_cast<double>(kEventLines) / took.median; }

}  // namespace

Result<EventCost> measure_events() {
  try {
    return measure();
  } catch (const std::exception& thrown) {
    return fail(std::string("measure the reading of events: ") + thrown.what());
  }
}

std::string events_table(const EventCost& cost) {
  auto text = fmt::format(
      "A log of sentinels at first sight: {} lines, {:.1f} MB, read and written to a ledger\n\n{}\n", kEventLines,
      static_cast<double>(cost.bytes) / 1e6, "WHAT                              MEDIAN    LEAST  GREATEST   LINES/S");
  const auto line = [&](const char* name, const Spread& spread) {
    text += fmt::format("{:<30}{:>10.3f} {:>8.3f} {:>9.3f} {:>9.0f}\n", name, spread.median, spread.least,
                        spread.greatest, per_second(spread));
  };
  line("s, every 20th an event", cost.seconds);
  line("s, all of them events", cost.events_only_seconds);
  line("s, only counting the lines", cost.bare_seconds);
  text += fmt::format("\nA look at a log that is as it was, where nobody watches it: {:.1f} us of CPU\n",
                      cost.look_micros.median);
  return text;
}

std::string events_json(const EventCost& cost) {
  JsonWriter json;
  json.object().field("lines", kEventLines).field("linesPerEvent", kLinesPerEvent).field("bytes", cost.bytes);
  spread_field(json, "seconds", cost.seconds);
  spread_field(json, "eventsOnlySeconds", cost.events_only_seconds);
  spread_field(json, "bareSeconds", cost.bare_seconds);
  spread_field(json, "lookMicros", cost.look_micros);
  bars_field(json, events_bars(cost));
  json.end();
  return json.take();
}

std::vector<Bar> events_bars(const EventCost& cost) {
  return {{.what = "lines read a second at first sight",
           .value = per_second(cost.seconds),
           .bar = kLeastPerSecond,
           .kind = Bar::Kind::at_least,
           .unit = "lines/s"}};
}

}  // namespace fleetledger::bench
