#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backends/clean.h"
#include "core/sample.h"
#include "core/units.h"

// What is read from columns that somebody else may have filled: clean, whatever is there.

namespace SQLite {
class Column;
class Statement;
}  // namespace SQLite

namespace fleetledger {

[[nodiscard]] inline std::int64_t to_ms(WallTime time) { return time.time_since_epoch().count(); }
[[nodiscard]] inline WallTime from_ms(std::int64_t milliseconds) {
  return WallTime{std::chrono::milliseconds{milliseconds}};
}

/// The whole number in a column; nothing if it is not one, or below 0 or too large.
[[nodiscard]] std::optional<std::int64_t> amount(const SQLite::Column& column, std::int64_t most = kMostAmount);
/// Cut to kMostTextBytes.
[[nodiscard]] std::string text(const SQLite::Column& column);
[[nodiscard]] std::optional<std::string> optional_text(const SQLite::Column& column);
[[nodiscard]] double percent(const SQLite::Column& column);
[[nodiscard]] std::optional<Usage> usage(const SQLite::Column& column);
[[nodiscard]] std::optional<Micros> interval(const SQLite::Column& column);

/// The columns of sql::sample_columns.
[[nodiscard]] Sample read_sample(SQLite::Statement& row);

}  // namespace fleetledger
