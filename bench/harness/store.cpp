#include "bench/harness/store.h"

#include <cmath>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <sqlite3.h>
#include <stdexcept>
#include <vector>

#include "backends/backends.h"
#include "bench/harness/json.h"

namespace fleetledger::bench {
namespace {

constexpr int kRounds = 31;
constexpr double kMostOfSummary = 3;
constexpr double kMostOfTrend = 2;
constexpr double kMostOfAppend = 1.5;
constexpr double kMostOfWeek = 1;
constexpr double kMostOfLong = 20;
constexpr double kMostOfFile = 150;
constexpr std::chrono::minutes kStep{1};

std::string source_name(int number) {
  return number == 0 ? std::string(kAggregateSource)
                     : fmt::format("session:{:08x}", static_cast<unsigned>(number) * 2654435761U);
}

AgentTick made_tick(WallTime ts, int sources = kLedgerSources, std::chrono::minutes step = kStep) {
  AgentTick tick;
  const auto minute = ts.time_since_epoch() / kStep;
  for (int source = 0; source < sources; ++source) {
    Sample sample;
    sample.ts = ts;
    sample.source = source_name(source);
    sample.pid = source;
    sample.cpu_percent = static_cast<double>((minute * 7 + source * 13) % 1000) / 10;
    sample.resident = Bytes{(1 << 20) * (50 + (minute + source) % 100)};
    sample.interval = std::chrono::duration_cast<Micros>(step);
    sample.usage = Usage{Micros{static_cast<std::int64_t>(sample.cpu_percent * 600'000) * step.count() + source}};
    sample.processes = 3;
    tick.samples.push_back(std::move(sample));
  }
  return tick;
}

/// CPU milliseconds of this thread.
double cpu_ms(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
  };
  const double before = now();
  work();
  return now() - before;
}

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error(what); }

template <typename T>
void expect(const Result<T>& result) {
  if (!result) give_up(result.error().text);
}

/// SQLite without anything of ours around it.
class Bare {
 public:
  explicit Bare(const std::string& file) {
    if (sqlite3_open(file.c_str(), &handle_) != SQLITE_OK) give_up("open " + file);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL");
    newest_ = prepare("SELECT * FROM resource_samples WHERE source = ?1 AND ts >= ?2 ORDER BY ts DESC LIMIT 1");
    window_ = prepare(
        "SELECT count(*), avg(cpu_percent), max(cpu_percent), avg(rss_bytes), max(rss_bytes), total(fl_cpu_us)"
        " FROM resource_samples WHERE source = ?1 AND ts >= ?2");
    count_ = prepare("SELECT count(*) FROM resource_samples");
    pass_ = prepare(
        "SELECT ts, cpu_percent, rss_bytes, fl_cpu_us, fl_interval_us FROM resource_samples"
        " WHERE source = ?1 AND ts >= ?2 ORDER BY ts");
    insert_ = prepare(
        "INSERT INTO resource_samples (ts, source, pid, cpu_percent, rss_bytes, heap_used_bytes, fl_cpu_us,"
        " fl_interval_us, fl_processes) VALUES (?2, ?1, 1, 2.5, 1000000, NULL, 15000, 60000000, 3)");
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;
  ~Bare() {
    for (auto* statement : {newest_, window_, count_, pass_, insert_}) sqlite3_finalize(statement);
    sqlite3_close(handle_);
  }

  void summary(WallTime since, bool count) {
    run("BEGIN");
    for (int source = 0; source < kLedgerSources; ++source) {
      for (auto* statement : {newest_, window_}) step(statement, source, since);
    }
    if (count) step(count_, 0, since);
    run("COMMIT");
  }

  void pass(WallTime since) {
    for (int source = 0; source < kLedgerSources; ++source) step(pass_, source, since);
  }

  void append(WallTime ts) {
    run("BEGIN IMMEDIATE");
    for (int source = 0; source < kLedgerSources; ++source) step(insert_, source, ts);
    run("COMMIT");
  }

 private:
  void run(const char* text) {
    if (sqlite3_exec(handle_, text, nullptr, nullptr, nullptr) != SQLITE_OK) give_up(sqlite3_errmsg(handle_));
  }

  sqlite3_stmt* prepare(const char* text) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, text, -1, &statement, nullptr) != SQLITE_OK) give_up(sqlite3_errmsg(handle_));
    return statement;
  }

  /// Runs a statement to its end and reads every column of every row.
  void step(sqlite3_stmt* statement, int source, WallTime ts) {
    const std::string name = source_name(source);
    if (sqlite3_bind_parameter_count(statement) > 0) {
      sqlite3_bind_text(statement, 1, name.c_str(), static_cast<int>(name.size()), SQLITE_STATIC);
      sqlite3_bind_int64(statement, 2, ts.time_since_epoch().count());
    }
    int result = SQLITE_ROW;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
      for (int column = 0; column < sqlite3_column_count(statement); ++column) {
        sum_ += sqlite3_column_double(statement, column);
      }
    }
    if (result != SQLITE_DONE) give_up(sqlite3_errmsg(handle_));
    sqlite3_reset(statement);
  }

  sqlite3* handle_ = nullptr;
  sqlite3_stmt* newest_ = nullptr;
  sqlite3_stmt* window_ = nullptr;
  sqlite3_stmt* count_ = nullptr;
  sqlite3_stmt* pass_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  double sum_ = 0;  ///< so that what is read is used
};

/// Gone with this object.
struct Folder {
  std::filesystem::path path;

  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetledger-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) give_up("make a temporary folder");
    path = std::filesystem::canonical(name);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

/// Of the days before the last seven a row each quarter of an hour is enough: their rows are gone in the end, and what
/// is kept of an hour is one row a source, of however many it was made.
void measure_long(LedgerStore& store, const LedgerKey& ledger, WallTime now, StoreCost& cost) {
  constexpr std::chrono::minutes kQuarter{15};
  const auto append = [&](WallTime ts, std::chrono::minutes step) {
    AgentTick tick = made_tick(ts, kLongSources, step);
    for (const auto& sample : tick.samples) cost.written += *sample.usage;
    tick.prune_samples_before = ts - std::chrono::days{kLedgerDays};
    expect(store.append(ledger, tick));
  };
  const WallTime recent = now - std::chrono::days{kLedgerDays};
  WallTime ts = now - std::chrono::days{kLongDays};
  for (; ts < recent; ts += kQuarter) append(ts, kQuarter);
  for (; ts < now; ts += kStep) append(ts, kStep);
  std::vector<double> spent;
  for (int round = 0; round < kRounds; ++round, ts += kStep) {
    append(ts, kStep);
    Result<LedgerSummary> summary;
    spent.push_back(cpu_ms([&] { summary = store.summary(ledger, now - std::chrono::days{kLongDays}); }));
    expect(summary);
    cost.kept = Usage{};
    for (const auto& source : summary->sources) cost.kept += source.usage;
  }
  cost.long_summary = spread_of(std::move(spent));
  const std::string file = store.standing(ledger, now).place;
  store.release(ledger);
  cost.long_mebibytes = static_cast<double>(std::filesystem::file_size(file)) / (1 << 20);
}

StoreCost measure() {
  const Folder folder;
  const auto agent = [&](const char* name) {
    const std::string path = folder.path / name;
    std::filesystem::create_directories(path + "/.instar");
    return LedgerKey{{agent_id(name, path), name, path}, LedgerLocation::agent};
  };
  const LedgerKey ledger = agent("asked");
  const LedgerKey written = agent("written");
  const LedgerKey bare_written = agent("bare");
  auto store = open_store("sqlite", {.central_directory = folder.path / "central"});
  expect(store);
  const WallTime now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  for (const auto& key : {ledger, written, bare_written}) expect(fill_ledger(**store, key, now));
  (*store)->release(bare_written);
  Bare bare((*store)->standing(ledger, {}).place);
  Bare bare_writer((*store)->standing(bare_written, {}).place);

  const WallTime hour_ago = now - std::chrono::hours{1};
  const WallTime week_ago = now - std::chrono::days{kLedgerDays};
  const TrendQuery trend{.since = week_ago, .until = now + kStep, .buckets = 200};
  std::vector<double> summary, again, week, bare_summary, bare_seeks, trends, passes, appends, bare_appends;
  const auto ask = [&] { expect((*store)->summary(ledger, hour_ago)); };
  for (int round = 0; round < kRounds; ++round) {
    const WallTime later = now + kStep * (round + 1);
    expect((*store)->append(ledger, made_tick(later)));
    summary.push_back(cpu_ms(ask));
    again.push_back(cpu_ms(ask));
    week.push_back(cpu_ms([&] { expect((*store)->summary(ledger, week_ago)); }));
    bare_summary.push_back(cpu_ms([&] { bare.summary(hour_ago, true); }));
    bare_seeks.push_back(cpu_ms([&] { bare.summary(hour_ago, false); }));
    trends.push_back(cpu_ms([&] { expect((*store)->trend(ledger, trend)); }));
    passes.push_back(cpu_ms([&] { bare.pass(week_ago); }));
    const AgentTick tick = made_tick(later);
    appends.push_back(cpu_ms([&] { expect((*store)->append(written, tick)); }));
    bare_appends.push_back(cpu_ms([&] { bare_writer.append(later); }));
  }
  const auto counted = (*store)->sample_count(written);
  expect(counted);
  StoreCost cost{*counted,
                 spread_of(std::move(summary)),
                 spread_of(std::move(again)),
                 spread_of(std::move(bare_summary)),
                 spread_of(std::move(bare_seeks)),
                 spread_of(std::move(trends)),
                 spread_of(std::move(passes)),
                 spread_of(std::move(appends)),
                 spread_of(std::move(bare_appends)),
                 spread_of(std::move(week)),
                 {},
                 0,
                 {},
                 {}};
  measure_long(**store, agent("long"), now, cost);
  return cost;
}

}  // namespace

Result<void> fill_ledger(LedgerStore& store, const LedgerKey& ledger, WallTime until) {
  constexpr auto kMinutes = std::chrono::duration_cast<std::chrono::minutes>(std::chrono::days{kLedgerDays});
  for (auto ago = kMinutes - kStep; ago >= kStep * 0; ago -= kStep) {
    if (auto written = store.append(ledger, made_tick(until - ago)); !written) return fail(written.error());
  }
  return {};
}

Result<StoreCost> measure_store() {
  try {
    return measure();
  } catch (const std::exception& thrown) {
    return fail(std::string("measure the store: ") + thrown.what());
  }
}

std::string store_table(const StoreCost& cost) {
  auto text = fmt::format("Store: {} rows of {} sources over {} days; CPU ms each\n\n{}\n", cost.rows, kLedgerSources,
                          kLedgerDays, "WHAT                              MEDIAN    LEAST  GREATEST   x BARE");
  const auto line = [&](const char* name, const Spread& spread, const Spread& bare) {
    text += fmt::format("{:<30}{:>10.3f} {:>8.3f} {:>9.3f} {:>8.2f}\n", name, spread.median, spread.least,
                        spread.greatest, spread.median / bare.median);
  };
  line("summary of 1 h", cost.summary, cost.bare_summary);
  line("the same, nothing new", cost.summary_again, cost.bare_summary);
  line("bare statements", cost.bare_summary, cost.bare_summary);
  line("bare, rows not counted", cost.bare_seeks, cost.bare_summary);
  text += fmt::format("{:<30}{:>10.3f} {:>8.3f} {:>9.3f}\n", "summary of 7 d", cost.week_summary.median,
                      cost.week_summary.least, cost.week_summary.greatest);
  line("trend of 7 d", cost.trend, cost.bare_pass);
  line("bare pass over its rows", cost.bare_pass, cost.bare_pass);
  line("append of a tick", cost.append, cost.bare_append);
  line("bare transaction", cost.bare_append, cost.bare_append);
  text += fmt::format("\n{} days of {} sources: summary of all {:.3f} ms ({:.3f} to {:.3f}), file {:.1f} MiB,\n",
                      kLongDays, kLongSources, cost.long_summary.median, cost.long_summary.least,
                      cost.long_summary.greatest, cost.long_mebibytes);
  text +=
      fmt::format("{} us of CPU time written, {} us kept\n", cost.written.micros().count(), cost.kept.micros().count());
  return text;
}

std::string store_json(const StoreCost& cost) {
  JsonWriter json;
  json.object().field("rows", cost.rows);
  spread_field(json, "summaryMs", cost.summary);
  spread_field(json, "summaryAgainMs", cost.summary_again);
  spread_field(json, "bareSummaryMs", cost.bare_summary);
  spread_field(json, "bareSeeksMs", cost.bare_seeks);
  spread_field(json, "trendMs", cost.trend);
  spread_field(json, "barePassMs", cost.bare_pass);
  spread_field(json, "appendMs", cost.append);
  spread_field(json, "bareAppendMs", cost.bare_append);
  spread_field(json, "weekSummaryMs", cost.week_summary);
  spread_field(json, "longSummaryMs", cost.long_summary);
  json.field("longMebibytes", cost.long_mebibytes)
      .field("writtenMicros", std::int64_t{cost.written.micros().count()})
      .field("keptMicros", std::int64_t{cost.kept.micros().count()});
  bars_field(json, store_bars(cost));
  json.end();
  return json.take();
}

std::vector<Bar> store_bars(const StoreCost& cost) {
  const auto lost = static_cast<double>((cost.written.micros() - cost.kept.micros()).count());
  const auto in_bare = [](const char* what, const Spread& spread, const Spread& bare, double most) {
    return Bar{what, spread.median / bare.median, most, Bar::Kind::at_most, "x"};
  };
  return {in_bare("summary of 1 h in bare statements", cost.summary, cost.bare_summary, kMostOfSummary),
          in_bare("trend of 7 d in a bare pass", cost.trend, cost.bare_pass, kMostOfTrend),
          in_bare("append of a tick in a bare transaction", cost.append, cost.bare_append, kMostOfAppend),
          {"summary of 7 d", cost.week_summary.median, kMostOfWeek, Bar::Kind::at_most, "ms"},
          {"summary of 90 d of 60 sources", cost.long_summary.median, kMostOfLong, Bar::Kind::at_most, "ms"},
          {"file of 90 d of 60 sources", cost.long_mebibytes, kMostOfFile, Bar::Kind::at_most, "MiB"},
          {"CPU time that was written and is not in the summary, or the other way round", std::abs(lost), 0,
           Bar::Kind::at_most, "us"}};
}

}  // namespace fleetledger::bench
