#include "backends/sqlite/schema.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <array>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace fleetledger {
namespace {

constexpr std::string_view kSamples = "resource_samples";
constexpr std::array<std::string_view, 6> kSampleColumns{"ts",          "source",    "pid",
                                                         "cpu_percent", "rss_bytes", "heap_used_bytes"};
constexpr std::string_view kEvents = "rate_limit_events";
constexpr std::array<std::string_view, 8> kEventColumns{"id",          "ts",           "kind",   "source",
                                                        "account_key", "session_name", "reason", "detail"};
constexpr std::array<std::string_view, 3> kOwnColumns{"fl_cpu_us", "fl_interval_us", "fl_processes"};
constexpr std::string_view kRecoveries = "fleetledger_recoveries";  // has the columns of events
constexpr std::string_view kReadMarks = "fleetledger_read_marks";
constexpr std::array<std::string_view, 6> kReadMarkColumns{"source",  "device",      "inode",
                                                           "read_to", "fingerprint", "memory"};

constexpr std::string_view kMarks = "fleetledger_marks";
constexpr std::string_view kHourRollups = "fleetledger_rollups";
constexpr std::string_view kDayRollups = "fleetledger_day_rollups";
constexpr std::array<std::string_view, 2> kMarkColumns{"name", "value"};
constexpr std::array<std::string_view, 23> kRollupColumns{
    "start",       "source",           "complete",         "row_count",        "first_ts",
    "cpu_sum",     "cpu_min",          "cpu_max",          "rss_sum",          "rss_min",
    "rss_max",     "cpu_us",           "interval_us",      "estimated_cpu_us", "estimated_interval_us",
    "last_ts",     "last_pid",         "last_cpu_percent", "last_rss_bytes",   "last_heap_bytes",
    "last_cpu_us", "last_interval_us", "last_processes"};

constexpr const char* kCreateTables =
    "CREATE TABLE IF NOT EXISTS resource_samples (ts INTEGER NOT NULL, source TEXT NOT NULL, pid INTEGER,"
    " cpu_percent REAL NOT NULL DEFAULT 0, rss_bytes INTEGER NOT NULL DEFAULT 0, heap_used_bytes INTEGER);"
    "CREATE TABLE IF NOT EXISTS rate_limit_events (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL,"
    " source TEXT NOT NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT)";
constexpr const char* kCreateIndexes =
    "CREATE INDEX IF NOT EXISTS idx_rs_ts ON resource_samples (ts);"
    "CREATE INDEX IF NOT EXISTS idx_rs_source_ts ON resource_samples (source, ts);"
    "CREATE INDEX IF NOT EXISTS idx_rle_ts ON rate_limit_events (ts);"
    "CREATE INDEX IF NOT EXISTS idx_rle_kind_ts ON rate_limit_events (kind, ts);"
    "CREATE INDEX IF NOT EXISTS idx_rle_source_ts ON rate_limit_events (source, ts);"
    "CREATE INDEX IF NOT EXISTS fleetledger_foreign ON resource_samples (ts) WHERE fl_interval_us IS NULL";
constexpr const char* kCreateOwn =
    "CREATE TABLE IF NOT EXISTS fleetledger_recoveries (id TEXT PRIMARY KEY, ts INTEGER NOT NULL, kind TEXT NOT NULL,"
    " source TEXT NOT NULL, account_key TEXT NOT NULL DEFAULT 'default', session_name TEXT, reason TEXT, detail TEXT);"
    "CREATE INDEX IF NOT EXISTS fleetledger_recoveries_ts ON fleetledger_recoveries (ts);"
    "CREATE TABLE IF NOT EXISTS fleetledger_read_marks (source TEXT PRIMARY KEY, device INTEGER, inode INTEGER,"
    " read_to INTEGER, fingerprint INTEGER, memory TEXT);"
    "CREATE TABLE IF NOT EXISTS fleetledger_marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL)";
/// In the order of time, so that a window lies in one piece. Not to be read twice: a day is the sum of its hours.
constexpr const char* kCreateRollups =
    " (start INTEGER NOT NULL, source TEXT NOT NULL, complete INTEGER NOT NULL DEFAULT 0,"
    " row_count INTEGER NOT NULL DEFAULT 0, first_ts INTEGER, cpu_sum REAL, cpu_min REAL, cpu_max REAL, rss_sum REAL,"
    " rss_min INTEGER, rss_max INTEGER, cpu_us INTEGER, interval_us INTEGER, estimated_cpu_us INTEGER,"
    " estimated_interval_us INTEGER, last_ts INTEGER, last_pid INTEGER, last_cpu_percent REAL, last_rss_bytes INTEGER,"
    " last_heap_bytes INTEGER, last_cpu_us INTEGER, last_interval_us INTEGER, last_processes INTEGER,"
    " PRIMARY KEY (start, source)) WITHOUT ROWID";
constexpr const char* kCountIndexes =
    "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name IN"
    " ('idx_rs_ts', 'idx_rs_source_ts', 'idx_rle_ts', 'idx_rle_kind_ts', 'idx_rle_source_ts',"
    " 'fleetledger_foreign')";
constexpr int kIndexes = 6;

using Columns = std::set<std::string, std::less<>>;

bool has_all(const Columns& columns, std::span<const std::string_view> wanted) {
  for (const std::string_view column : wanted) {
    if (!columns.contains(column)) {
      return false;
    }
  }
  return true;
}

/// The columns of a table; none if there is no such table. An error if it is not a plain table.
Result<Columns> read_table(LedgerConnection& connection, std::string_view name,
                           std::span<const std::string_view> required) {
  const auto refuse = [&](std::string_view reason) {
    return fail("open ledger " + connection.path() + ": its " + std::string(name) + std::string(reason),
                Error::Kind::unavailable);
  };
  SQLite::Statement object(connection.database(),
                           "SELECT type, rootpage FROM sqlite_master WHERE name = ?1 COLLATE NOCASE");
  object.bind(1, std::string(name));
  if (!object.executeStep()) {
    return Columns();
  }
  const std::string type = object.getColumn(0).getString();
  if (type != "table") {
    return refuse(" is not a plain table (" + type + ")");
  }
  if (object.getColumn(1).getInt64() == 0) {
    return refuse(" is not a plain table (virtual table)");
  }
  SQLite::Statement trigger(connection.database(),
                            "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE");
  trigger.bind(1, std::string(name));
  if (trigger.executeStep()) {
    return refuse(" has a trigger");
  }
  Columns columns;
  SQLite::Statement column(connection.database(), "SELECT name FROM pragma_table_info(?1)");
  column.bind(1, std::string(name));
  while (column.executeStep()) {
    columns.insert(column.getColumn(0).getString());
  }
  if (!has_all(columns, required)) {
    return refuse(" lacks a column that every ledger has");
  }
  return columns;
}

}  // namespace

Result<LedgerSchema> read_schema(LedgerConnection& connection) {
  try {
    const auto samples = read_table(connection, kSamples, kSampleColumns);
    if (!samples) {
      return fail(samples.error());
    }
    const auto events = read_table(connection, kEvents, kEventColumns);
    if (!events) {
      return fail(events.error());
    }
    const auto recoveries = read_table(connection, kRecoveries, kEventColumns);
    if (!recoveries) {
      return fail(recoveries.error());
    }
    const auto read_marks = read_table(connection, kReadMarks, kReadMarkColumns);
    if (!read_marks) {
      return fail(read_marks.error());
    }
    const auto marks = read_table(connection, kMarks, kMarkColumns);
    if (!marks) {
      return fail(marks.error());
    }
    const auto hours = read_table(connection, kHourRollups, kRollupColumns);
    if (!hours) {
      return fail(hours.error());
    }
    const auto days = read_table(connection, kDayRollups, kRollupColumns);
    if (!days) {
      return fail(days.error());
    }
    return LedgerSchema{.samples = !samples->empty(),
                        .events = !events->empty(),
                        .own_columns = has_all(*samples, kOwnColumns),
                        .indexes = connection.database().execAndGet(kCountIndexes).getInt() == kIndexes,
                        .marks = !marks->empty(),
                        .own_tables = !recoveries->empty() && !read_marks->empty(),
                        .rollups = !hours->empty() && !days->empty() && !marks->empty()};
  } catch (const std::exception& thrown) {
    return fail(ledger_error("open", connection, thrown));
  }
}

Result<void> complete_schema(LedgerConnection& connection) {
  try {
    SQLite::Database& database = connection.database();
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    database.exec(kCreateTables);
    const auto columns = read_table(connection, kSamples, kSampleColumns);
    if (!columns) {
      return fail(columns.error());
    }
    for (const std::string_view column : kOwnColumns) {
      if (!columns->contains(column)) {
        database.exec("ALTER TABLE resource_samples ADD COLUMN " + std::string(column) + " INTEGER");
      }
    }
    database.exec(kCreateIndexes);
    database.exec(kCreateOwn);
    for (const std::string_view table : {kHourRollups, kDayRollups}) {
      const std::string name(table);
      database.exec("CREATE TABLE IF NOT EXISTS " + name + kCreateRollups);
      database.exec("CREATE INDEX IF NOT EXISTS " + name + "_source ON " + name + " (source, start)");
    }
    transaction.commit();
    return {};
  } catch (const std::exception& thrown) {
    return fail(ledger_error("prepare", connection, thrown));
  }
}

}  // namespace fleetledger
