#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "backends/sqlite/connection.h"
#include "backends/sqlite/ledger_place.h"
#include "backends/sqlite/schema.h"

namespace fleetledger {

/// A connection that has read a ledger and can read it again, with what opening it had found out.
struct OpenReader {
  std::unique_ptr<LedgerConnection> connection;
  LedgerConnection::Access access = LedgerConnection::Access::read;
  LedgerRest opened;  ///< how the ledger looked then
  LedgerSchema schema;
  std::int64_t schema_version = 0;  ///< SQLite's count of changes: another one, and the schema is to be read again
};

/// Read connections that stay open, so that reading does not begin with opening and checking: at most one for each
/// ledger that our own writer has open. Elsewhere an open reader would not be without effect: an agent's server that
/// ends would leave its -wal. Any thread.
class KeptReaders {
 public:
  /// The reader that is kept for a ledger, if it still reads what is at `real_path` now, where it looks like `rest`;
  /// else nullptr. It is the caller's: others open their own meanwhile.
  [[nodiscard]] std::unique_ptr<OpenReader> take(const std::string& file, const std::string& real_path,
                                                 LedgerConnection::Access access, const LedgerRest& rest);
  /// Keeps a reader that has just read, or closes it.
  void keep(const std::string& file, std::unique_ptr<OpenReader> reader);

  /// Our writer has the ledger open from now on.
  void written(const std::string& file);
  /// It is about to be closed: closes what is kept, so that it is the last one, and removes the -wal.
  void forget(const std::string& file);

 private:
  std::mutex mutex_;
  std::set<std::string> written_;
  std::map<std::string, std::unique_ptr<OpenReader>> readers_;
};

}  // namespace fleetledger
