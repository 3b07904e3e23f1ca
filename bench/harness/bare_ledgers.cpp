#include "bench/harness/bare_ledgers.h"

#include <filesystem>
#include <sqlite3.h>
#include <vector>

#include "bench/harness/process_clock.h"

namespace fleetledger::bench {
namespace {

constexpr int kWarmUp = 2;

class BareLedger {
 public:
  BareLedger() = default;
  BareLedger(const BareLedger&) = delete;
  BareLedger& operator=(const BareLedger&) = delete;
  ~BareLedger() {
    sqlite3_finalize(begin_);
    sqlite3_finalize(insert_);
    sqlite3_finalize(commit_);
    sqlite3_close(handle_);
  }

  Result<void> open(const std::string& file) {
    const bool good =
        sqlite3_open(file.c_str(), &handle_) == SQLITE_OK &&
        run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            "CREATE TABLE resource_samples (ts INTEGER NOT NULL, source TEXT NOT NULL, pid INTEGER,"
            " cpu_percent REAL NOT NULL DEFAULT 0, rss_bytes INTEGER NOT NULL DEFAULT 0, heap_used_bytes INTEGER,"
            " fl_cpu_us INTEGER, fl_interval_us INTEGER, fl_processes INTEGER);"
            "CREATE INDEX by_ts ON resource_samples (ts);"
            "CREATE INDEX by_source ON resource_samples (source, ts);") &&
        prepare("BEGIN IMMEDIATE", begin_) && prepare("COMMIT", commit_) &&
        prepare("INSERT INTO resource_samples VALUES (?2, ?1, 1, 2.5, 1000000, NULL, 15000, 60000000, 3)", insert_);
    return good ? Result<void>{} : failure();
  }

  Result<void> append(std::int64_t ts, const std::vector<std::string>& sources) {
    bool good = step(begin_);
    for (const auto& source : sources) {
      sqlite3_bind_text(insert_, 1, source.c_str(), static_cast<int>(source.size()), SQLITE_STATIC);
      sqlite3_bind_int64(insert_, 2, ts);
      good = good && step(insert_);
    }
    return good && step(commit_) ? Result<void>{} : failure();
  }

 private:
  bool run(const char* text) { return sqlite3_exec(handle_, text, nullptr, nullptr, nullptr) == SQLITE_OK; }
  bool prepare(const char* text, sqlite3_stmt*& statement) {
    return sqlite3_prepare_v2(handle_, text, -1, &statement, nullptr) == SQLITE_OK;
  }
  static bool step(sqlite3_stmt* statement) {
    const bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return done;
  }
  Result<void> failure() { return fail(std::string("write with bare SQLite: ") + sqlite3_errmsg(handle_)); }

  sqlite3* handle_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
};

}  // namespace

Result<Spread> measure_bare_ledgers(const std::string& folder, std::size_t ledgers, std::size_t rows, int rounds) {
  std::vector<std::string> sources;
  for (std::size_t i = 0; i < rows; ++i) sources.push_back("session:s" + std::to_string(i) + "-idle");
  std::vector<BareLedger> files(ledgers);
  for (std::size_t i = 0; i < ledgers; ++i) {
    const auto own = folder + "/" + std::to_string(i);
    std::filesystem::create_directories(own);
    if (auto opened = files[i].open(own + "/bare.db"); !opened) return fail(opened.error());
  }
  std::vector<double> figures;
  for (int round = 0; round < kWarmUp + rounds; ++round) {
    const double before = own_thread_cpu_ms();
    for (auto& file : files) {
      if (auto written = file.append(1'700'000'000'000 + round * 60'000, sources); !written) {
        return fail(written.error());
      }
    }
    if (round >= kWarmUp) figures.push_back(own_thread_cpu_ms() - before);
  }
  return spread_of(std::move(figures));
}

}  // namespace fleetledger::bench
