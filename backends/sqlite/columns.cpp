#include "backends/sqlite/columns.h"

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Statement.h>
#include <limits>
#include <sqlite3.h>

namespace fleetledger {

std::optional<std::int64_t> amount(const SQLite::Column& column, std::int64_t most) {
  const int type = column.getType();
  if (type == SQLITE_INTEGER) {
    const std::int64_t value = column.getInt64();
    return value >= 0 && value <= most ? std::optional(value) : std::nullopt;
  }
  if (type == SQLITE_FLOAT) {
    const double value = column.getDouble();
    // The greatest `most` is no double: what is next above it, and no whole number of 64 bits, would be let in.
    if (value >= 0 && value <= static_cast<double>(most) && value < 0x1p63) {
      return static_cast<std::int64_t>(value);
    }
  }
  return std::nullopt;
}

std::string text(const SQLite::Column& column) {
  const char* bytes = column.getText();
  return clip({bytes, static_cast<std::size_t>(column.getBytes())});
}

std::optional<std::string> optional_text(const SQLite::Column& column) {
  return column.isNull() ? std::nullopt : std::optional(text(column));
}

double percent(const SQLite::Column& column) {
  const int type = column.getType();
  return type == SQLITE_INTEGER || type == SQLITE_FLOAT ? clean_percent(column.getDouble()) : 0;
}

std::optional<Usage> usage(const SQLite::Column& column) {
  const auto micros = amount(column);
  return micros ? std::optional(Usage{Micros{*micros}}) : std::nullopt;
}

std::optional<Micros> interval(const SQLite::Column& column) {
  const auto micros = amount(column);
  return micros ? std::optional(Micros{*micros}) : std::nullopt;
}

Sample read_sample(SQLite::Statement& row) {
  Sample sample;
  sample.ts = from_ms(row.getColumn(0).getInt64());
  sample.source = text(row.getColumn(1));
  sample.pid = static_cast<Pid>(amount(row.getColumn(2), std::numeric_limits<Pid>::max()).value_or(0));
  sample.cpu_percent = percent(row.getColumn(3));
  sample.resident = Bytes{amount(row.getColumn(4)).value_or(0)};
  if (const auto heap = amount(row.getColumn(5))) {
    sample.heap = Bytes{*heap};
  }
  sample.usage = usage(row.getColumn(6));
  sample.interval = interval(row.getColumn(7));
  if (const auto processes = amount(row.getColumn(8), std::numeric_limits<std::uint32_t>::max())) {
    sample.processes = static_cast<std::uint32_t>(*processes);
  }
  return sample;
}

}  // namespace fleetledger
