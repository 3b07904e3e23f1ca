#pragma once

#include <string>

namespace fleetledger::sql {

// What is said to SQLite at every tick and every read, in one place so that the query plans can be tested.
// Where somebody else wrote a text in place of a ts, it sorts above kEndOfTime and stays out.

inline constexpr long long kEndOfTime = 253'402'300'800'000;  ///< the year 10000, in ms

/// Bound: source, ts.
inline constexpr const char* kTaken = "SELECT 1 FROM resource_samples WHERE source = ?1 AND ts = ?2 LIMIT 1";

/// Bound: ts.
inline constexpr const char* kAnySince = "SELECT 1 FROM resource_samples WHERE ts >= ?1 LIMIT 1";

/// Bound: the columns.
inline constexpr const char* kInsertSample =
    "INSERT INTO resource_samples (ts, source, pid, cpu_percent, rss_bytes, heap_used_bytes, fl_cpu_us,"
    " fl_interval_us, fl_processes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
inline constexpr const char* kInsertEvent =
    "INSERT OR IGNORE INTO rate_limit_events (id, ts, kind, source, account_key, session_name, reason, detail)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Bound: cutoff, most rows.
inline constexpr const char* kPrune =
    "DELETE FROM resource_samples WHERE rowid IN"
    " (SELECT rowid FROM resource_samples WHERE ts < ?1 ORDER BY ts LIMIT ?2)";

inline constexpr const char* kInsertRecovery =
    "INSERT OR IGNORE INTO fleetledger_recoveries (id, ts, kind, source, account_key, session_name, reason, detail)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Bound: source, device, inode, offset, fingerprint, memory.
inline constexpr const char* kSetMark =
    "INSERT OR REPLACE INTO fleetledger_read_marks (source, device, inode, read_to, fingerprint, memory)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
inline constexpr const char* kMarks =
    "SELECT source, device, inode, read_to, fingerprint, memory FROM fleetledger_read_marks LIMIT 16";

/// Events that we recorded, and those that the agent's server did. Bound: cutoff, most rows, our source.
inline constexpr const char* kPruneEvents =
    "DELETE FROM rate_limit_events WHERE rowid IN"
    " (SELECT rowid FROM rate_limit_events WHERE source = ?3 AND ts < ?1 ORDER BY ts LIMIT ?2)";
inline constexpr const char* kPruneUpstreamEvents =
    "DELETE FROM rate_limit_events WHERE rowid IN"
    " (SELECT rowid FROM rate_limit_events WHERE ts < ?1 AND source <> ?3 ORDER BY ts LIMIT ?2)";
/// Bound: cutoff, most rows.
inline constexpr const char* kPruneRecoveries =
    "DELETE FROM fleetledger_recoveries WHERE rowid IN"
    " (SELECT rowid FROM fleetledger_recoveries WHERE ts < ?1 ORDER BY ts LIMIT ?2)";

inline constexpr const char* kCount = "SELECT count(*) FROM resource_samples";

/// Bound: the moment.
inline constexpr const char* kCountBefore = "SELECT count(*) FROM resource_samples WHERE ts < ?1";
inline constexpr const char* kCountFrom = "SELECT count(*) FROM resource_samples WHERE ts >= ?1";

/// Bound: end of time.
inline constexpr const char* kNewest = "SELECT ts FROM resource_samples WHERE ts < ?1 ORDER BY ts DESC LIMIT 1";

/// When an agent's samples began to be in the central file. Bound: the moment.
inline constexpr const char* kSetCentralSince =
    "INSERT OR IGNORE INTO fleetledger_marks (name, value) VALUES ('central-since', ?1)";
inline constexpr const char* kCentralSince = "SELECT value FROM fleetledger_marks WHERE name = 'central-since'";

/// Bound: since, end of time.
inline constexpr const char* kEventKinds =
    "SELECT kind, source, count(*), min(ts), max(ts) FROM rate_limit_events WHERE ts >= ?1 AND ts < ?2"
    " GROUP BY +kind, +source ORDER BY 3 DESC, 1, 2";

/// Bound: since, end of time, limit.
inline constexpr const char* kEvents =
    "SELECT id, ts, kind, source, account_key, session_name, reason, detail FROM rate_limit_events"
    " WHERE ts >= ?1 AND ts < ?2 ORDER BY ts DESC, id DESC LIMIT ?3";

/// Likewise.
inline constexpr const char* kRecoveries =
    "SELECT id, ts, kind, source, account_key, session_name, reason, detail FROM fleetledger_recoveries"
    " WHERE ts >= ?1 AND ts < ?2 ORDER BY ts DESC, id DESC LIMIT ?3";

/// Bound: id, end of time.
inline constexpr const char* kEvent =
    "SELECT id, ts, kind, source, account_key, session_name, reason, detail FROM rate_limit_events"
    " WHERE id = ?1 AND ts >= 0 AND ts < ?2";

/// In the order in which they were written. Bound: the first row, most rows.
inline constexpr const char* kEventsFromRow =
    "SELECT id, ts, kind, source, account_key, session_name, reason, detail, rowid FROM rate_limit_events"
    " WHERE rowid >= ?1 ORDER BY rowid LIMIT ?2";

// What reads our own columns has to do without them in a file that only upstream has written so far.

[[nodiscard]] inline std::string sample_columns(bool own_columns) {
  return std::string("ts, source, pid, cpu_percent, rss_bytes, heap_used_bytes, ") +
         (own_columns ? "fl_cpu_us, fl_interval_us, fl_processes" : "NULL, NULL, NULL");
}

/// The newest row of another sampler. Bound: since, until (inclusive).
[[nodiscard]] inline std::string newest_foreign(bool own_columns) {
  return std::string("SELECT ts FROM resource_samples WHERE ") + (own_columns ? "fl_interval_us IS NULL AND " : "") +
         "ts >= ?1 AND ts <= ?2 ORDER BY ts DESC LIMIT 1";
}

/// What we wrote, among the rows of another sampler, in the order in which it lies there.
[[nodiscard]] inline std::string our_samples() {
  return "SELECT " + sample_columns(true) +
         " FROM resource_samples WHERE fl_interval_us IS NOT NULL AND typeof(ts) = 'integer' AND ts < ?1"
         " AND typeof(source) = 'text'";
}

/// Newest first. Bound: source, since, end.
[[nodiscard]] inline std::string samples_of_source(bool own_columns) {
  return "SELECT " + sample_columns(own_columns) +
         " FROM resource_samples WHERE source = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts DESC";
}

/// Newest first, then by source; a source that is no text stays out. Bound: since, end.
[[nodiscard]] inline std::string samples(bool own_columns) {
  return "SELECT " + sample_columns(own_columns) +
         " FROM resource_samples WHERE ts >= ?1 AND ts < ?2 AND typeof(source) = 'text' ORDER BY ts DESC, source";
}

/// What ran, in the order of the index. Bound: since, end.
[[nodiscard]] inline std::string activity_rows(bool own_columns) {
  return std::string("SELECT ts, source, ") + (own_columns ? "fl_cpu_us, fl_interval_us" : "NULL, NULL") +
         " FROM resource_samples WHERE ts >= ?1 AND ts < ?2 AND typeof(source) = 'text' ORDER BY ts";
}

/// Oldest first; a source that is no text stays out. Bound: since, end.
[[nodiscard]] inline std::string rows_by_time(bool own_columns) {
  return "SELECT " + sample_columns(own_columns) +
         " FROM resource_samples WHERE ts >= ?1 AND ts < ?2 AND typeof(source) = 'text' ORDER BY ts";
}

/// Likewise, of one source. Bound: since, end, source.
[[nodiscard]] inline std::string rows_of_source_by_time(bool own_columns) {
  return "SELECT " + sample_columns(own_columns) +
         " FROM resource_samples WHERE source = ?3 AND ts >= ?1 AND ts < ?2 ORDER BY ts";
}

/// Bound: from, end of time.
inline constexpr const char* kFirstRow =
    "SELECT ts FROM resource_samples WHERE ts >= ?1 AND ts < ?2 ORDER BY ts LIMIT 1";

/// Bound: source, ts.
inline constexpr const char* kRowBefore =
    "SELECT ts FROM resource_samples WHERE source = ?1 AND ts < ?2 ORDER BY ts DESC LIMIT 1";

/// Bound: source, the hour of ts.
inline constexpr const char* kRollupBefore =
    "SELECT last_ts FROM fleetledger_rollups WHERE source = ?1 AND start < ?2 ORDER BY start DESC LIMIT 1";

// What we wrote, in a file that an agent's own sampler may write too. Bound as kFirstRow and kPrune are.
inline constexpr const char* kFirstRowOfOurs =
    "SELECT ts FROM resource_samples WHERE ts >= ?1 AND ts < ?2 AND fl_interval_us IS NOT NULL ORDER BY ts LIMIT 1";
inline constexpr const char* kPruneOurs =
    "DELETE FROM resource_samples WHERE rowid IN (SELECT rowid FROM resource_samples"
    " WHERE ts < ?1 AND fl_interval_us IS NOT NULL ORDER BY ts LIMIT ?2)";
inline constexpr const char* kCountForeign = "SELECT count(*) FROM resource_samples WHERE fl_interval_us IS NULL";

/// How large the file is, how much of it is free, in pages; and their size.
inline constexpr const char* kPages = "PRAGMA page_count";
inline constexpr const char* kFreePages = "PRAGMA freelist_count";
inline constexpr const char* kPageSize = "PRAGMA page_size";

/// Bound: from, end of time.
inline constexpr const char* kFirstRollup =
    "SELECT start FROM fleetledger_rollups WHERE start >= ?1 AND start < ?2 ORDER BY start LIMIT 1";
/// Bound: end of time.
inline constexpr const char* kLastRollup =
    "SELECT start FROM fleetledger_rollups WHERE start < ?1 ORDER BY start DESC LIMIT 1";

/// How far the ledger is rolled. Bound: name, and value.
inline constexpr const char* kMark = "SELECT value FROM fleetledger_marks WHERE name = ?1";
inline constexpr const char* kSetNumber = "INSERT OR REPLACE INTO fleetledger_marks (name, value) VALUES (?1, ?2)";
inline constexpr const char* kRowsBeforeChanged = "rows-before-changed";  // how often: see SqliteHours::settled_rows
inline constexpr const char* kHoursRolled = "hours-rolled-to";
inline constexpr const char* kDaysRolled = "days-rolled-to";

inline constexpr const char* kHourRollups = "fleetledger_rollups";
inline constexpr const char* kDayRollups = "fleetledger_day_rollups";

inline constexpr const char* kRollupColumns =
    "start, source, complete, row_count, first_ts, cpu_sum, cpu_min, cpu_max, rss_sum, rss_min, rss_max, cpu_us,"
    " interval_us, estimated_cpu_us, estimated_interval_us, last_ts, last_pid, last_cpu_percent, last_rss_bytes,"
    " last_heap_bytes, last_cpu_us, last_interval_us, last_processes";

/// By time. Bound: since, end.
[[nodiscard]] inline std::string rollups(const std::string& table) {
  return std::string("SELECT ") + kRollupColumns + " FROM " + table +
         " WHERE start >= ?1 AND start < ?2 ORDER BY start";
}

/// Likewise, of one source. Bound: since, end, source.
[[nodiscard]] inline std::string rollups_of_source(const std::string& table) {
  return std::string("SELECT ") + kRollupColumns + " FROM " + table +
         " WHERE source = ?3 AND start >= ?1 AND start < ?2 ORDER BY start";
}

/// Bound: start, source.
inline const std::string kRollup =
    std::string("SELECT ") + kRollupColumns + " FROM fleetledger_rollups WHERE start = ?1 AND source = ?2";

/// Bound: the columns.
[[nodiscard]] inline std::string put_rollup(const std::string& table) {
  return "INSERT OR REPLACE INTO " + table + " (" + kRollupColumns +
         ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,"
         " ?22, ?23)";
}

/// Bound: end.
[[nodiscard]] inline std::string prune_rollups(const std::string& table) {
  return "DELETE FROM " + table + " WHERE start < ?1";
}

/// Where no raw row is as new. Bound: the hour.
inline constexpr const char* kNewestRolled = "SELECT max(last_ts) FROM fleetledger_rollups WHERE start = ?1";

}  // namespace fleetledger::sql
