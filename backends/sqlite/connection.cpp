#include "backends/sqlite/connection.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <cerrno>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <utility>

namespace fleetledger {
namespace {

constexpr int kBusyMs = 50;
constexpr int kOpsBetweenLooks = 4000;    // of SQLite's virtual machine; some tenths of a millisecond
constexpr int kMostValueBytes = 1 << 20;  // a larger text or blob is an error
constexpr mode_t kNewFileMode = 0600;

/// "file:" and the path with every byte that means something in a URI escaped.
std::string file_uri(std::string_view path) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_.~";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string uri = "file:";
  for (const char character : path) {
    if (kPlain.find(character) != std::string_view::npos) {
      uri += character;
    } else {
      const auto byte = static_cast<unsigned char>(character);
      uri.append({'%', kHex[byte >> 4U], kHex[byte & 15U]});
    }
  }
  return uri;
}

void set(sqlite3* handle, int option, int value) {
  int now = 0;
  const int result = sqlite3_db_config(handle, option, value, &now);
  if (result != SQLITE_OK || now != value) {
    throw SQLite::Exception("a safety switch of SQLite cannot be set", result);
  }
}

/// Before the first connection of the process: pages are allocated as they are needed. Otherwise each connection begins
/// with room for twenty, which a ledger that is only appended to does not use. And nobody counts what SQLite allocates:
/// that is one lock for all threads, taken at each allocation. Where SQLite is at work already, it stays as it is.
void configure_sqlite() {
  static const int once =
      sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0) | sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(once);
}

void make_safe(SQLite::Database& database) {
  sqlite3* handle = database.getHandle();
  set(handle, SQLITE_DBCONFIG_DEFENSIVE, 1);
  set(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0);
  set(handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0);
  set(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_LOOKASIDE, nullptr, 0, 0);
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kMostValueBytes);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  database.exec("PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-256");
}

/// In plain words why SQLite gave up; nothing where its own words are the best there are.
std::string_view plain_reason(int code, int extended) {
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return "another process holds it";
    case SQLITE_NOTADB:
      return "it is not a database";
    case SQLITE_CORRUPT:
      return "it is damaged";
    case SQLITE_FULL:
      return "the disk is full";
    case SQLITE_READONLY:
      return "it cannot be written";
    case SQLITE_CANTOPEN:
      return extended == SQLITE_CANTOPEN_SYMLINK ? "it is a link, or in a folder that is one" : "it cannot be opened";
    case SQLITE_PERM:
      return "no permission";
    case SQLITE_IOERR:
      return "the disk cannot be read or written";
    case SQLITE_INTERRUPT:
      return "it took too long and was broken off";
    case SQLITE_TOOBIG:
      return "it holds a value that is too large";
    default:
      return {};
  }
}

/// What an operator can mend, where SQLite speaks of input and output only; nothing for all else.
std::string_view plain_system_reason(int code, int system_error) {
  if (code != SQLITE_IOERR && code != SQLITE_CANTOPEN) {
    return {};
  }
  switch (system_error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk is full";
    case EROFS:
      return "the disk is read-only";
    case EACCES:
    case EPERM:
      return "no permission";
    default:
      return {};
  }
}

Error::Kind kind_of(int code) {
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return Error::Kind::busy;
    case SQLITE_NOMEM:
      return Error::Kind::failed;
    default:
      return Error::Kind::unavailable;
  }
}

}  // namespace

LedgerConnection::LedgerConnection(std::string path, std::chrono::milliseconds limit)
    : path_(std::move(path)), limit_(limit) {
  start_clock();
}

LedgerConnection::~LedgerConnection() = default;

Result<std::unique_ptr<LedgerConnection>> LedgerConnection::open(const std::string& real_path, Access access,
                                                                 std::chrono::milliseconds limit) {
  configure_sqlite();
  std::unique_ptr<LedgerConnection> connection(new LedgerConnection(real_path, limit));
  try {
    std::string name = real_path;
    int flags = SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    switch (access) {
      case Access::write:
        flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        break;
      case Access::read:
        flags |= SQLITE_OPEN_READONLY;
        break;
      case Access::read_at_rest:
        flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
        name = file_uri(real_path) + "?immutable=1";
        break;
      case Access::read_left:
        flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
        name = file_uri(real_path) + "?vfs=unix-none";  // whose connections take no locks
        break;
    }
    struct stat before {};
    const bool fresh = access == Access::write && ::lstat(real_path.c_str(), &before) != 0;
    connection->database_ = std::make_unique<SQLite::Database>(name, flags, kBusyMs);
    if (fresh) {
      (void)::fchmodat(AT_FDCWD, real_path.c_str(), kNewFileMode, AT_SYMLINK_NOFOLLOW);
    }
    SQLite::Database& database = *connection->database_;
    if (access == Access::read_left) {
      // Before all else: then the index of the -wal is kept in memory, not in a -shm.
      database.exec("PRAGMA locking_mode=EXCLUSIVE");
      set(database.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1);
    }
    sqlite3_progress_handler(
        database.getHandle(), kOpsBetweenLooks,
        [](void* deadline) {
          const auto now = std::chrono::steady_clock::now();
          return now > *static_cast<std::chrono::steady_clock::time_point*>(deadline) ? 1 : 0;
        },
        &connection->deadline_);
    make_safe(database);
    return connection;
  } catch (const std::exception& thrown) {
    return fail(ledger_error("open", *connection, thrown));
  }
}

Result<void> LedgerConnection::prepare_to_write() {
  try {
    database_->exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF");
    return {};
  } catch (const std::exception& thrown) {
    return fail(ledger_error("open", *this, thrown));
  }
}

void LedgerConnection::start_clock() { deadline_ = std::chrono::steady_clock::now() + limit_; }

bool LedgerConnection::moved() const {
  int moved = 0;
  const int result = sqlite3_file_control(database_->getHandle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return result != SQLITE_OK || moved != 0;
}

int LedgerConnection::system_error() const { return database_ ? sqlite3_system_errno(database_->getHandle()) : 0; }

namespace {

Error error_of(std::string_view doing, const std::string& path, const std::exception& thrown, int system_error) {
  std::string text = std::string(doing) + " ledger " + path + ": ";
  const auto* from_sqlite = dynamic_cast<const SQLite::Exception*>(&thrown);
  if (from_sqlite == nullptr) {
    return {text + thrown.what(), Error::Kind::failed};
  }
  const int code = from_sqlite->getErrorCode() & 0xFF;
  std::string_view reason = plain_system_reason(code, system_error);
  if (reason.empty()) {
    reason = plain_reason(code, from_sqlite->getExtendedErrorCode());
  }
  if (reason.empty()) {
    text += thrown.what();
  } else {
    text.append(reason).append(" (").append(thrown.what()).append(")");
  }
  return {std::move(text), kind_of(code)};
}

}  // namespace

Error ledger_error(std::string_view doing, const std::string& path, const std::exception& thrown) {
  return error_of(doing, path, thrown, 0);
}

Error ledger_error(std::string_view doing, const LedgerConnection& connection, const std::exception& thrown) {
  return error_of(doing, connection.path(), thrown, connection.system_error());
}

}  // namespace fleetledger
