#include "backends/sqlite/ledger_hours.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <array>
#include <cmath>
#include <limits>
#include <sqlite3.h>

#include "backends/sqlite/columns.h"
#include "backends/sqlite/statements.h"

namespace fleetledger {
namespace {

constexpr std::int64_t kMostSum = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMostRows = std::numeric_limits<std::uint32_t>::max();  ///< of one source, in a day

double sum(const SQLite::Column& column) {
  const double value = column.isFloat() || column.isInteger() ? column.getDouble() : 0;
  return value >= 0 && std::isfinite(value) ? value : 0;
}

WallTime moment(const SQLite::Column& column) { return from_ms(amount(column).value_or(0)); }

/// The columns of sql::kRollupColumns.
Rollup read_rollup(SQLite::Statement& row) {
  Rollup rollup;
  rollup.start = from_ms(row.getColumn(0).getInt64());
  rollup.source = text(row.getColumn(1));
  rollup.complete = amount(row.getColumn(2)).value_or(0) != 0;
  Tally& tally = rollup.tally;
  tally.rows = amount(row.getColumn(3), kMostRows).value_or(0);
  tally.first = moment(row.getColumn(4));
  tally.cpu_sum = sum(row.getColumn(5));
  tally.cpu_min = percent(row.getColumn(6));
  tally.cpu_max = percent(row.getColumn(7));
  tally.resident_sum = sum(row.getColumn(8));
  tally.resident_min = Bytes{amount(row.getColumn(9)).value_or(0)};
  tally.resident_max = Bytes{amount(row.getColumn(10)).value_or(0)};
  if (const auto used = amount(row.getColumn(11), kMostSum)) {
    tally.usage = Usage{Micros{*used}};
  }
  if (const auto measured = amount(row.getColumn(12), kMostSum)) {
    tally.interval = Micros{*measured};
  }
  tally.estimated = {Usage{Micros{amount(row.getColumn(13), kMostSum).value_or(0)}},
                     Micros{amount(row.getColumn(14), kMostSum).value_or(0)}};
  Sample& newest = tally.newest;
  newest.ts = moment(row.getColumn(15));
  newest.source = rollup.source;
  newest.pid = static_cast<Pid>(amount(row.getColumn(16), std::numeric_limits<Pid>::max()).value_or(0));
  newest.cpu_percent = percent(row.getColumn(17));
  newest.resident = Bytes{amount(row.getColumn(18)).value_or(0)};
  if (const auto heap = amount(row.getColumn(19))) {
    newest.heap = Bytes{*heap};
  }
  newest.usage = usage(row.getColumn(20));
  newest.interval = interval(row.getColumn(21));
  if (const auto processes = amount(row.getColumn(22), std::numeric_limits<std::uint32_t>::max())) {
    newest.processes = static_cast<std::uint32_t>(*processes);
  }
  return rollup;
}

void bind_optional(SQLite::Statement& statement, int index, const std::optional<std::int64_t>& value) {
  if (value) {
    statement.bind(index, *value);
  } else {
    statement.bind(index);
  }
}

std::optional<std::int64_t> count_of(const std::optional<Micros>& value) {
  return value ? std::optional(value->count()) : std::nullopt;
}

std::optional<std::int64_t> count_of(const std::optional<Usage>& value) {
  return value ? std::optional(value->micros().count()) : std::nullopt;
}

const char* table_of(Span span) { return span == Span::hour ? sql::kHourRollups : sql::kDayRollups; }

}  // namespace

SqliteHours::SqliteHours(SQLite::Database& database, const LedgerSchema& schema)
    : database_(database), schema_(schema) {}

SqliteHours::~SqliteHours() = default;

SQLite::Statement& SqliteHours::prepared(const std::string& text) const {
  auto& statement = statements_[text];
  if (statement) {
    statement->tryReset();
  } else {
    statement = std::make_unique<SQLite::Statement>(database_, text);
  }
  return *statement;
}

void SqliteHours::forget_rare_statements() {
  std::erase_if(statements_, [](const auto& entry) { return entry.first != sql::kPages; });
}

WallTime SqliteHours::mark(const char* name) const {
  SQLite::Statement& row = prepared(sql::kMark);
  row.bindNoCopy(1, name);
  const WallTime value = row.executeStep() ? moment(row.getColumn(0)) : WallTime{};
  row.tryReset();
  return value;
}

RolledTo SqliteHours::rolled_to() const {
  if (!schema_.rollups) {
    return {};
  }
  if (!writing_ || !rolled_) {
    rolled_ = RolledTo{hour_of(mark(sql::kHoursRolled)), day_of(mark(sql::kDaysRolled))};
  }
  return *rolled_;
}

bool SqliteHours::begin(bool ended_well) {
  const bool holds = ended_well && data_version_ && data_version() == data_version_;
  if (!holds) {
    rolled_.reset();
    last_.reset();
  }
  writing_ = true;
  return holds;
}

void SqliteHours::committed() { data_version_ = data_version(); }

/// As SQLite knows it since the transaction that is open, or was the last one, began. Without a statement: it is asked
/// at every tick.
std::optional<std::uint32_t> SqliteHours::data_version() const {
  unsigned version = 0;
  if (sqlite3_file_control(database_.getHandle(), "main", SQLITE_FCNTL_DATA_VERSION, &version) != SQLITE_OK) {
    return std::nullopt;
  }
  return version;
}

void SqliteHours::rows_before_changed() {
  set_mark(sql::kRowsBeforeChanged, mark(sql::kRowsBeforeChanged) + std::chrono::milliseconds{1});
}

SqliteHours::SettledRows SqliteHours::settled_rows(const std::optional<SettledRows>& known) const {
  SettledRows rows{rolled_to().hours, first_row(WallTime::min()), {}, 0};
  if (schema_.rollups) {
    rows.changes = mark(sql::kRowsBeforeChanged);
  }
  if (known && known->same_as(rows)) {
    return *known;
  }
  SQLite::Statement& row = prepared(sql::kCountBefore);
  row.bind(1, to_ms(rows.until));
  row.executeStep();
  rows.rows = row.getColumn(0).getInt64();
  row.tryReset();
  return rows;
}

std::int64_t SqliteHours::rows_from(WallTime moment) const {
  SQLite::Statement& row = prepared(sql::kCountFrom);
  row.bind(1, to_ms(moment));
  row.executeStep();
  const std::int64_t rows = row.getColumn(0).getInt64();
  row.tryReset();
  return rows;
}

namespace {

/// What one of the statements that find one moment finds. Others may have written a fraction: of that the whole
/// milliseconds, as of its row.
std::optional<WallTime> found_moment(SQLite::Statement& row) {
  std::optional<WallTime> found;
  if (row.executeStep() && (row.getColumn(0).isInteger() || row.getColumn(0).isFloat())) {
    found = from_ms(row.getColumn(0).getInt64());
  }
  row.tryReset();
  return found;
}

}  // namespace

std::optional<WallTime> SqliteHours::first_row(WallTime from) const {
  SQLite::Statement& row = prepared(sql::kFirstRow);
  row.bind(1, to_ms(from));
  row.bind(2, std::int64_t{sql::kEndOfTime});
  return found_moment(row);
}

std::optional<WallTime> SqliteHours::first_rollup(WallTime from) const {
  if (!schema_.rollups) {
    return std::nullopt;
  }
  SQLite::Statement& row = prepared(sql::kFirstRollup);
  row.bind(1, to_ms(from));
  row.bind(2, std::int64_t{sql::kEndOfTime});
  return found_moment(row);
}

std::optional<WallTime> SqliteHours::last_rollup() const {
  if (!schema_.rollups) {
    return std::nullopt;
  }
  if (!writing_ || !last_) {
    SQLite::Statement& row = prepared(sql::kLastRollup);
    row.bind(1, std::int64_t{sql::kEndOfTime});
    last_ = found_moment(row);
  }
  return *last_;
}

std::optional<WallTime> SqliteHours::row_before(const std::string& source, WallTime ts) const {
  SQLite::Statement& row = prepared(sql::kRowBefore);
  row.bindNoCopy(1, source);
  row.bind(2, to_ms(ts));
  auto before = found_moment(row);
  if (schema_.rollups) {
    SQLite::Statement& rollup = prepared(sql::kRollupBefore);
    rollup.bindNoCopy(1, source);
    rollup.bind(2, to_ms(hour_of(ts)));
    if (const auto rolled = found_moment(rollup)) {
      before = std::max(before.value_or(*rolled), *rolled);
    }
  }
  return before;
}

void SqliteHours::rows(const Stretch& stretch, const std::function<void(const Sample&)>& visit) const {
  static const std::array kAll{sql::rows_by_time(false), sql::rows_by_time(true)};
  static const std::array kOfSource{sql::rows_of_source_by_time(false), sql::rows_of_source_by_time(true)};
  SQLite::Statement& row = prepared((stretch.source == nullptr ? kAll : kOfSource).at(schema_.own_columns ? 1 : 0));
  row.bind(1, to_ms(stretch.since));
  row.bind(2, std::min(to_ms(stretch.until), std::int64_t{sql::kEndOfTime}));
  if (stretch.source != nullptr) {
    row.bindNoCopy(3, *stretch.source);
  }
  while (row.executeStep()) {
    visit(read_sample(row));
  }
  row.tryReset();
}

void SqliteHours::rollups(Span span, const Stretch& stretch, const std::function<void(const Rollup&)>& visit) const {
  if (!schema_.rollups) {
    return;
  }
  SQLite::Statement& row =
      prepared(stretch.source == nullptr ? sql::rollups(table_of(span)) : sql::rollups_of_source(table_of(span)));
  row.bind(1, to_ms(stretch.since));
  row.bind(2, to_ms(stretch.until));
  if (stretch.source != nullptr) {
    row.bindNoCopy(3, *stretch.source);
  }
  while (row.executeStep()) {
    const Rollup rollup = read_rollup(row);
    if (rollup.tally.rows > 0) {
      visit(rollup);
    }
  }
  row.tryReset();
}

void SqliteHours::set_mark(const char* name, WallTime value) {
  SQLite::Statement& row = prepared(sql::kSetNumber);
  row.bindNoCopy(1, name);
  row.bind(2, to_ms(value));
  row.exec();
  row.tryReset();
}

void SqliteHours::set_rolled_to(const RolledTo& rolled) {
  set_mark(sql::kHoursRolled, rolled.hours);
  set_mark(sql::kDaysRolled, rolled.days);
  rolled_ = rolled;
}

std::optional<Rollup> SqliteHours::find(const std::string& source, WallTime hour) const {
  SQLite::Statement& row = prepared(sql::kRollup);
  row.bind(1, to_ms(hour));
  row.bindNoCopy(2, source);
  std::optional<Rollup> found;
  if (row.executeStep()) {
    found = read_rollup(row);
  }
  row.tryReset();
  return found;
}

void SqliteHours::put(Span span, const Rollup& rollup) {
  if (span == Span::hour) {
    last_.reset();
  }
  SQLite::Statement& row = prepared(sql::put_rollup(table_of(span)));
  const Tally& tally = rollup.tally;
  int index = 0;
  row.bind(++index, to_ms(rollup.start));
  row.bindNoCopy(++index, rollup.source);
  row.bind(++index, rollup.complete ? 1 : 0);
  row.bind(++index, tally.rows);
  row.bind(++index, to_ms(tally.first));
  row.bind(++index, tally.cpu_sum);
  row.bind(++index, tally.cpu_min);
  row.bind(++index, tally.cpu_max);
  row.bind(++index, tally.resident_sum);
  row.bind(++index, tally.resident_min.value);
  row.bind(++index, tally.resident_max.value);
  bind_optional(row, ++index, count_of(tally.usage));
  bind_optional(row, ++index, count_of(tally.interval));
  row.bind(++index, tally.estimated.usage.micros().count());
  row.bind(++index, tally.estimated.interval.count());
  row.bind(++index, to_ms(tally.newest.ts));
  row.bind(++index, tally.newest.pid);
  row.bind(++index, tally.newest.cpu_percent);
  row.bind(++index, tally.newest.resident.value);
  bind_optional(row, ++index, tally.newest.heap ? std::optional(tally.newest.heap->value) : std::nullopt);
  bind_optional(row, ++index, count_of(tally.newest.usage));
  bind_optional(row, ++index, count_of(tally.newest.interval));
  bind_optional(row, ++index, tally.newest.processes);
  row.exec();
  row.tryReset();
}

namespace {

std::int64_t remove(SQLite::Statement& row, WallTime end, std::int64_t most) {
  row.bind(1, to_ms(end));
  row.bind(2, most);
  const int deleted = row.exec();
  row.tryReset();
  return deleted;
}

}  // namespace

std::int64_t SqliteHours::remove_rows(WallTime end, std::int64_t most) {
  return remove(prepared(sql::kPrune), end, most);
}

std::int64_t SqliteHours::remove_rows_of_ours(WallTime end, std::int64_t most) {
  return remove(prepared(sql::kPruneOurs), end, most);
}

std::optional<WallTime> SqliteHours::first_row_of_ours() const {
  SQLite::Statement& row = prepared(sql::kFirstRowOfOurs);
  row.bind(1, to_ms(WallTime::min()));
  row.bind(2, std::int64_t{sql::kEndOfTime});
  return found_moment(row);
}

std::int64_t SqliteHours::count(const char* statement) const {
  SQLite::Statement& row = prepared(statement);
  row.executeStep();
  const std::int64_t found = row.getColumn(0).getInt64();
  row.tryReset();
  return found;
}

Bytes SqliteHours::size() const {
  if (page_size_ == 0) {
    page_size_ = count(sql::kPageSize);
  }
  return Bytes{count(sql::kPages) * page_size_};
}

Bytes SqliteHours::used() const { return Bytes{size().value - count(sql::kFreePages) * page_size_}; }

double SqliteHours::our_share() const {
  const auto all = static_cast<double>(count(sql::kCount));
  return all > 0 ? 1 - static_cast<double>(count(sql::kCountForeign)) / all : 1;
}

void SqliteHours::remove_rollups(WallTime end) {
  last_.reset();
  for (const Span span : {Span::hour, Span::day}) {
    SQLite::Statement& row = prepared(sql::prune_rollups(table_of(span)));
    row.bind(1, to_ms(end));
    row.exec();
    row.tryReset();
  }
}

std::optional<WallTime> SqliteHours::newest() const {
  SQLite::Statement& row = prepared(sql::kNewest);
  row.bind(1, std::int64_t{sql::kEndOfTime});
  auto newest = found_moment(row);
  if (const auto hour = last_rollup()) {
    SQLite::Statement& rolled = prepared(sql::kNewestRolled);
    rolled.bind(1, to_ms(*hour));
    if (const auto last = found_moment(rolled)) {
      newest = std::max(newest.value_or(*last), *last);
    }
  }
  return newest;
}

}  // namespace fleetledger
