#include "backends/sqlite/kept_readers.h"

#include <SQLiteCpp/Database.h>
#include <sqlite3.h>
#include <tuple>
#include <utility>

namespace fleetledger {
namespace {

using Access = LedgerConnection::Access;

bool same_file(const FileStamp& left, const FileStamp& right) {
  return std::tie(left.device, left.inode) == std::tie(right.device, right.inode);
}

/// Whether what was opened then is what would be opened now.
bool still_good(const OpenReader& reader, const std::string& real_path, Access access, const LedgerRest& rest) {
  if (reader.access != access || reader.connection->path() != real_path) {
    return false;
  }
  if (access == Access::read_at_rest) {  // it would not see a change
    return reader.opened == rest && rest.settled();
  }
  return same_file(reader.opened.file, rest.file) && same_file(reader.opened.wal, rest.wal) &&
         !reader.connection->moved();
}

}  // namespace

std::unique_ptr<OpenReader> KeptReaders::take(const std::string& file, const std::string& real_path, Access access,
                                              const LedgerRest& rest) {
  std::unique_ptr<OpenReader> reader;
  {
    const std::lock_guard lock(mutex_);
    const auto found = readers_.find(file);
    if (found == readers_.end()) {
      return nullptr;
    }
    reader = std::move(found->second);
    readers_.erase(found);
  }
  if (!still_good(*reader, real_path, access, rest)) {
    return nullptr;
  }
  reader->connection->start_clock();
  return reader;
}

void KeptReaders::keep(const std::string& file, std::unique_ptr<OpenReader> reader) {
  // What it has read is in the system's cache too: a ledger that is not being read costs no memory for it.
  sqlite3_db_release_memory(reader->connection->database().getHandle());
  const std::lock_guard lock(mutex_);
  if (written_.contains(file) && reader->access != Access::read_left) {
    readers_.try_emplace(file, std::move(reader));
  }
}

void KeptReaders::written(const std::string& file) {
  const std::lock_guard lock(mutex_);
  written_.insert(file);
}

void KeptReaders::forget(const std::string& file) {
  std::unique_ptr<OpenReader> gone;
  const std::lock_guard lock(mutex_);
  written_.erase(file);
  if (const auto found = readers_.find(file); found != readers_.end()) {
    gone = std::move(found->second);
    readers_.erase(found);
  }
}

}  // namespace fleetledger
