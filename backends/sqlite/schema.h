#pragma once

#include "backends/sqlite/connection.h"
#include "core/result.h"

namespace fleetledger {

/// What a database holds of a ledger.
struct LedgerSchema {
  bool samples = false;      ///< the table of samples is there, with upstream's columns
  bool events = false;       ///< likewise of events
  bool own_columns = false;  ///< and ours: fl_cpu_us, fl_interval_us, fl_processes
  bool indexes = false;      ///< all of upstream's, and ours: of the rows that other samplers wrote
  bool marks = false;        ///< the table of our marks is there: a name and a number each
  bool own_tables = false;   ///< fleetledger_recoveries and fleetledger_read_marks
  bool rollups = false;      ///< the tables of rollups, of hours and of days, and that of marks

  [[nodiscard]] bool complete() const { return samples && events && own_columns && indexes && own_tables && rollups; }
};

/// Looks and changes nothing. Unavailable if a table's name belongs to something else (a view, a virtual table), if a
/// table has a trigger or lacks a column of upstream's.
[[nodiscard]] Result<LedgerSchema> read_schema(LedgerConnection& connection);

/// Makes what is missing: upstream's tables and indexes under upstream's names, so that upstream finds them made, our
/// nullable columns, our index and our tables. In one transaction, so that it does not matter who else is at it.
[[nodiscard]] Result<void> complete_schema(LedgerConnection& connection);

}  // namespace fleetledger
