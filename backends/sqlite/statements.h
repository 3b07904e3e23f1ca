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

/// Bound: end of time.
inline constexpr const char* kNewest = "SELECT ts FROM resource_samples WHERE ts < ?1 ORDER BY ts DESC LIMIT 1";

/// When an agent's samples began to be in the central file. Bound: the moment.
inline constexpr const char* kSetCentralSince =
    "INSERT OR IGNORE INTO fleetledger_marks (name, value) VALUES ('central-since', ?1)";
inline constexpr const char* kCentralSince = "SELECT value FROM fleetledger_marks WHERE name = 'central-since'";

/// The sources are found one by one along the (source, ts) index. Bound: the one before.
inline constexpr const char* kNextSource =
    "SELECT source FROM resource_samples WHERE source > ?1 AND source < x'' ORDER BY source LIMIT 1";

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

/// What a trend is made of, oldest first. It is put into buckets as it comes: GROUP BY would sort all rows once more.
/// Bound: source, since, until.
[[nodiscard]] inline std::string trend_rows(bool own_columns) {
  return std::string("SELECT ts, cpu_percent, rss_bytes, ") +
         (own_columns ? "fl_cpu_us, fl_interval_us" : "NULL, NULL") +
         " FROM resource_samples WHERE source = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts";
}

/// Values that no sampler can have meant count as 0. Bound: source, since, end of time, most percent, most amount.
[[nodiscard]] inline std::string source_window(bool own_columns) {
  return std::string(
             "SELECT count(*), avg(percent), max(percent), avg(resident), max(resident), total(used), min(ts) FROM"
             " (SELECT ts,"
             " CASE WHEN typeof(cpu_percent) IN ('real', 'integer') AND cpu_percent BETWEEN 0 AND ?4"
             "  THEN cpu_percent ELSE 0.0 END AS percent,"
             " CASE WHEN typeof(rss_bytes) IN ('real', 'integer') AND rss_bytes BETWEEN 0 AND ?5"
             "  THEN CAST(rss_bytes AS INTEGER) ELSE 0 END AS resident,") +
         (own_columns ? " CASE WHEN typeof(fl_cpu_us) IN ('real', 'integer') AND fl_cpu_us BETWEEN 0 AND ?5"
                        "  THEN CAST(fl_cpu_us AS INTEGER) END AS used"
                      : " NULL AS used") +
         " FROM resource_samples WHERE source = ?1 AND ts >= ?2 AND ts < ?3)";
}

}  // namespace fleetledger::sql
