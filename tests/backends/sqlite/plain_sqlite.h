#pragma once

#include <optional>
#include <sqlite3.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace fleetledger::test {

/// A database as any other program would use it. Waits up to ten seconds for locks.
class PlainDatabase {
 public:
  explicit PlainDatabase(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) {
      throw std::runtime_error("cannot open " + path);
    }
    sqlite3_busy_timeout(handle_, 10'000);
  }
  PlainDatabase(const PlainDatabase&) = delete;
  PlainDatabase& operator=(const PlainDatabase&) = delete;
  ~PlainDatabase() { sqlite3_close(handle_); }

  /// Runs statements; the rows of the last one, NULL as "NULL".
  std::vector<std::vector<std::string>> rows(const std::string& statements) {
    std::vector<std::vector<std::string>> result;
    const auto collect = [](void* to, int count, char** values, char** /*names*/) {
      std::vector<std::string> row;
      for (int index = 0; index < count; ++index) {
        row.emplace_back(values[index] == nullptr ? "NULL" : values[index]);
      }
      static_cast<std::vector<std::vector<std::string>>*>(to)->push_back(std::move(row));
      return 0;
    };
    char* error = nullptr;
    if (sqlite3_exec(handle_, statements.c_str(), collect, &result, &error) != SQLITE_OK) {
      const std::string text = error == nullptr ? "?" : error;
      sqlite3_free(error);
      throw std::runtime_error(text + " in " + statements);
    }
    return result;
  }
  void run(const std::string& statements) { (void)rows(statements); }
  /// The first column of the first row.
  std::string value(const std::string& query) { return rows(query).at(0).at(0); }

 private:
  sqlite3* handle_ = nullptr;
};

/// The statements with which the agents' own software sets up a ledger, from the facts that are known of it.
inline constexpr const char* kUpstreamSchema =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    "CREATE TABLE IF NOT EXISTS rate_limit_events (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL,"
    " source TEXT NOT NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);"
    "CREATE INDEX IF NOT EXISTS idx_rle_ts ON rate_limit_events (ts);"
    "CREATE INDEX IF NOT EXISTS idx_rle_kind_ts ON rate_limit_events (kind, ts);"
    "CREATE INDEX IF NOT EXISTS idx_rle_source_ts ON rate_limit_events (source, ts);"
    "CREATE TABLE IF NOT EXISTS resource_samples (ts INTEGER NOT NULL, source TEXT NOT NULL, pid INTEGER,"
    " cpu_percent REAL NOT NULL DEFAULT 0, rss_bytes INTEGER NOT NULL DEFAULT 0, heap_used_bytes INTEGER);"
    "CREATE INDEX IF NOT EXISTS idx_rs_ts ON resource_samples (ts);"
    "CREATE INDEX IF NOT EXISTS idx_rs_source_ts ON resource_samples (source, ts);";

/// How long that software keeps samples where its config says nothing.
inline constexpr long long kUpstreamRetentionMs = 7LL * 24 * 60 * 60 * 1000;

/// How that software writes one sample.
inline std::string upstream_insert(long long ts, const std::string& source, const std::string& pid = "42") {
  return "INSERT INTO resource_samples (ts, source, pid, cpu_percent, rss_bytes, heap_used_bytes) VALUES (" +
         std::to_string(ts) + ", '" + source + "', " + pid + ", 12.5, 1048576, NULL);";
}

}  // namespace fleetledger::test
