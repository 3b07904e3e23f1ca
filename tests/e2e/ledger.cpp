#include "tests/e2e/ledger.h"

#include <functional>
#include <memory>
#include <sqlite3.h>

namespace fleetledger::e2e {
namespace {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

/// Runs a query on a database that is only read; nothing comes back while the file or the table is not there.
void query(const std::string& file, const std::string& sql, const std::function<void(sqlite3_stmt*)>& take) {
  sqlite3* opened = nullptr;
  const int result = sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  const std::unique_ptr<sqlite3, CloseDatabase> database(opened);
  if (result != SQLITE_OK) {
    return;
  }
  sqlite3_busy_timeout(opened, 10'000);
  sqlite3_stmt* prepared = nullptr;
  sqlite3_prepare_v2(opened, sql.c_str(), -1, &prepared, nullptr);
  const std::unique_ptr<sqlite3_stmt, FinalizeStatement> statement(prepared);
  while (prepared != nullptr && sqlite3_step(prepared) == SQLITE_ROW) {
    take(prepared);
  }
}

std::string text(sqlite3_stmt* row, int column) {
  return {reinterpret_cast<const char*>(sqlite3_column_text(row, column)),
          static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}

std::optional<std::int64_t> whole(sqlite3_stmt* row, int column) {
  if (sqlite3_column_type(row, column) == SQLITE_NULL) {
    return std::nullopt;
  }
  return sqlite3_column_int64(row, column);
}

}  // namespace

std::string ledger_file(const std::string& agent_path) {
  return agent_path + "/.instar/server-data/resource-ledger.db";
}

std::vector<Row> read_rows(const std::string& agent_path) {
  std::vector<Row> rows;
  query(ledger_file(agent_path),
        "SELECT ts, source, pid, cpu_percent, rss_bytes, fl_cpu_us, fl_interval_us, fl_processes FROM resource_samples "
        "ORDER BY ts, rowid",
        [&](sqlite3_stmt* row) {
          rows.push_back({sqlite3_column_int64(row, 0), text(row, 1), sqlite3_column_int64(row, 2),
                          sqlite3_column_double(row, 3), sqlite3_column_int64(row, 4), whole(row, 5), whole(row, 6),
                          whole(row, 7)});
        });
  return rows;
}

std::set<std::int64_t> read_ticks(const std::string& agent_path) {
  std::set<std::int64_t> ticks;
  for (const auto& row : read_rows(agent_path)) {
    if (row.source == "aggregate") {
      ticks.insert(row.ts);
    }
  }
  return ticks;
}

bool is_intact(const std::string& agent_path) {
  std::string said;
  query(ledger_file(agent_path), "PRAGMA integrity_check", [&](sqlite3_stmt* row) { said += text(row, 0); });
  return said == "ok";
}

}  // namespace fleetledger::e2e
