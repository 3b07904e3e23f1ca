#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

namespace SQLite {
class Database;
}

namespace fleetledger {

/// One connection of SQLite to one ledger, set up so that a file made by somebody else can do no harm: no triggers, no
/// views, no trusted schema, no huge values, no statement without end. For one thread at a time.
class LedgerConnection {
 public:
  enum class Access {
    write,         ///< and made by SQLite if it is missing
    read,          ///< may make the -wal and -shm that a reader needs
    read_at_rest,  ///< as a file that does not change: no locks, no -wal, nothing made
    read_left,     ///< likewise, with a -wal that its last writer left: for where no -shm is and none can be made
  };

  /// `real_path` comes from find_ledger or prepare_ledger.
  static Result<std::unique_ptr<LedgerConnection>> open(const std::string& real_path, Access access,
                                                        std::chrono::milliseconds limit);
  LedgerConnection(const LedgerConnection&) = delete;
  LedgerConnection& operator=(const LedgerConnection&) = delete;
  ~LedgerConnection();

  [[nodiscard]] SQLite::Database& database() { return *database_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Once for Access::write, when the file is known to be a ledger: before this nothing is changed in it.
  [[nodiscard]] Result<void> prepare_to_write();

  /// Begins an operation: from now on it has its whole time limit.
  void start_clock();

  /// The errno of the last call to the system that failed under SQLite; 0: none did.
  [[nodiscard]] int system_error() const;

  /// The path no longer leads to the file that is open here.
  [[nodiscard]] bool moved() const;

 private:
  LedgerConnection(std::string path, std::chrono::milliseconds limit);

  std::string path_;
  std::chrono::milliseconds limit_;
  std::chrono::steady_clock::time_point deadline_;  ///< SQLite's progress handler looks at it
  std::unique_ptr<SQLite::Database> database_;      ///< goes first
};

/// What was thrown while `doing` something with the ledger at `path`, as an Error of the kind that LedgerStore
/// promises.
[[nodiscard]] Error ledger_error(std::string_view doing, const std::string& path, const std::exception& thrown);
/// The same, with what the system has said to this connection: which of the many reasons for an I/O error it was.
[[nodiscard]] Error ledger_error(std::string_view doing, const LedgerConnection& connection,
                                 const std::exception& thrown);

}  // namespace fleetledger
