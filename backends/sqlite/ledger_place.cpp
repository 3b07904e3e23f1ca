#include "backends/sqlite/ledger_place.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fleetledger {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr const char* kFileName = "resource-ledger.db";
constexpr std::array<std::string_view, 3> kCompanions{"-wal", "-shm", "-journal"};

tl::unexpected<Error> refuse(const std::string& path, std::string_view reason) {
  return fail("open ledger " + path + ": " + std::string(reason), Error::Kind::unavailable);
}

/// An open folder, so that what was found out about it stays true of what is made in it. No ledger is opened by it.
class OpenFolder {
 public:
  explicit OpenFolder(const std::string& path) : descriptor_(::open(path.c_str(), kFlags)) {}
  ~OpenFolder() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
  }
  OpenFolder(const OpenFolder&) = delete;
  OpenFolder& operator=(const OpenFolder&) = delete;

  [[nodiscard]] int get() const { return descriptor_; }
  /// Nothing if it is not open, which `errno` explains.
  [[nodiscard]] std::optional<uid_t> owner() const {
    struct stat status {};
    return ::fstat(descriptor_, &status) == 0 ? std::optional(status.st_uid) : std::nullopt;
  }

 private:
#ifdef O_PATH
  static constexpr int kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
#else
  static constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
#endif
  int descriptor_;
};

/// Makes a folder, and the parents that are missing if `parents` says so; none in another user's folder. Nothing to do
/// is success.
Result<void> make_folder(const std::string& path, bool parents) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    return {};
  }
  const auto refuse_to_make = [&path](const std::string& reason) {
    return fail("make folder " + path + ": " + reason, Error::Kind::unavailable);
  };
  const std::size_t slash = path.rfind('/');
  const std::string parent = path.substr(0, std::max<std::size_t>(slash, 1));
  if (parents && parent != "/") {
    if (auto made = make_folder(parent, true); !made) {
      return made;
    }
  }
  const OpenFolder folder(parent);
  const auto owner = folder.owner();
  if (!owner) {
    return refuse_to_make(std::strerror(errno));
  }
  if (*owner != ::geteuid() && *owner != 0) {
    return refuse_to_make(parent + " belongs to another user (uid " + std::to_string(*owner) + ")");
  }
  if (::mkdirat(folder.get(), path.c_str() + slash + 1, kFolderMode) != 0 && errno != EEXIST) {
    return refuse_to_make(std::strerror(errno));
  }
  return {};
}

/// A folder of the ledger `file` without links in its path, if it is ours; nothing if it does not exist.
Result<std::optional<std::string>> real_folder(const std::string& folder, const std::string& file) {
  struct stat status {};
  if (::lstat(folder.c_str(), &status) != 0 && errno == ENOENT) {
    return std::optional<std::string>();  // the usual answer for a central place, in one call
  }
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(folder.c_str(), nullptr), &std::free);
  if (!real) {
    if (errno == ENOENT) {
      return std::optional<std::string>();
    }
    return refuse(file, folder + ": " + std::strerror(errno));
  }
  if (::lstat(real.get(), &status) != 0) {
    return refuse(file, folder + ": " + std::strerror(errno));
  }
  if (!S_ISDIR(status.st_mode)) {
    return refuse(file, folder + " is not a folder");
  }
  if (status.st_uid != ::geteuid()) {
    return refuse(file, folder + " belongs to another user (uid " + std::to_string(status.st_uid) + ")");
  }
  return std::optional<std::string>(real.get());
}

/// The same for a folder that has to exist.
Result<std::string> existing_folder(const std::string& folder, const std::string& file) {
  auto real = real_folder(folder, file);
  if (!real) {
    return fail(std::move(real.error()));
  }
  if (!*real) {
    return refuse(file, folder + " does not exist");
  }
  return std::move(**real);
}

/// Whether there is a regular file of ours; unavailable if there is anything else.
Result<bool> regular_file(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) {
      return false;
    }
    return refuse(path, std::strerror(errno));
  }
  if (S_ISREG(status.st_mode)) {
    if (status.st_uid != ::geteuid()) {
      return refuse(path, "it belongs to another user (uid " + std::to_string(status.st_uid) + ")");
    }
    return true;
  }
  return refuse(path, S_ISLNK(status.st_mode)   ? "it is a link"
                      : S_ISDIR(status.st_mode) ? "it is a folder"
                                                : "it is not a regular file");
}

Result<bool> ledger_files(const std::string& path) {
  for (const std::string_view suffix : kCompanions) {
    if (auto there = regular_file(path + std::string(suffix)); !there) {
      return there;
    }
  }
  return regular_file(path);
}

FileStamp look_of(const struct stat& status) {
#if defined(__APPLE__)
  const timespec& modified = status.st_mtimespec;
#else
  const timespec& modified = status.st_mtim;
#endif
  return {status.st_dev, status.st_ino, status.st_size,
          std::int64_t{modified.tv_sec} * 1'000'000'000 + modified.tv_nsec};
}

std::string file_in(const std::string& folder) { return folder + '/' + kFileName; }

}  // namespace

std::string LedgerPlace::file() const { return file_in(folder); }

LedgerPlace own_place(const AgentIdentity& agent) {
  const std::string home = agent.path + "/.instar";
  return {home, LedgerPlace::Home::found, home + "/server-data"};
}

LedgerPlace central_place(const AgentIdentity& agent, const std::string& central_directory) {
  return {central_directory, LedgerPlace::Home::made, central_directory + "/" + agent.id};
}

Result<std::optional<std::string>> find_ledger(const LedgerPlace& place) {
  const auto folder = real_folder(place.folder, place.file());
  if (!folder || !*folder) {
    return folder;
  }
  const std::string file = file_in(**folder);
  const auto there = ledger_files(file);
  if (!there) {
    return fail(there.error());
  }
  return *there ? std::optional(file) : std::nullopt;
}

Result<std::string> prepare_ledger(const LedgerPlace& place) {
  if (place.rule == LedgerPlace::Home::made) {
    if (auto made = make_folder(place.home, true); !made) {
      return fail(made.error());
    }
  }
  if (auto home = existing_folder(place.home, place.file()); !home) {
    return home;
  }
  if (auto made = make_folder(place.folder, false); !made) {
    return fail(made.error());
  }
  const auto folder = existing_folder(place.folder, place.file());
  if (!folder) {
    return folder;
  }
  std::string file = file_in(*folder);
  const auto there = ledger_files(file);
  if (!there) {
    return fail(there.error());
  }
  // mknod makes a file without a descriptor on it. Where it is not allowed to, SQLite makes the file when it opens it.
  if (!*there) {
    const OpenFolder in(*folder);
    if (const auto owner = in.owner(); !owner || *owner != ::geteuid()) {
      return refuse(file, *folder + " was exchanged meanwhile");
    }
    (void)::mknodat(in.get(), kFileName, S_IFREG | kFileMode, 0);
  }
  return file;
}

bool LedgerRest::settled() const {
  // File systems stamp by the kernel's timer tick (10 ms at the longest), some in whole seconds or two.
  constexpr std::int64_t kSecond = 1'000'000'000;
  constexpr std::chrono::nanoseconds kTimerTick = std::chrono::milliseconds{20};
  const std::int64_t modified = std::max(file.modified_ns, wal.modified_ns);
  const auto step = modified % kSecond == 0 ? std::chrono::nanoseconds{2 * kSecond} : kTimerTick;
  return std::chrono::nanoseconds{modified} < std::chrono::system_clock::now().time_since_epoch() - step;
}

LedgerRest look_at_ledger(const std::string& real_path) {
  LedgerRest rest;
  struct stat status {};
  if (::lstat(real_path.c_str(), &status) != 0) {
    return rest;
  }
  rest.file = look_of(status);
  const auto missing = [&](const char* suffix) {
    struct stat found {};
    return ::lstat((real_path + suffix).c_str(), &found) != 0 && errno == ENOENT;
  };
  const bool wal = ::lstat((real_path + "-wal").c_str(), &status) == 0;
  const bool no_wal = wal ? status.st_size == 0 : errno == ENOENT;
  if (wal) {
    rest.wal = look_of(status);
  }
  const bool no_journal = missing("-journal");
  rest.no_journal = no_wal && no_journal;
  rest.left = wal && !no_wal && no_journal && missing("-shm");
  return rest;
}

}  // namespace fleetledger
