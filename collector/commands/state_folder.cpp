#include "collector/commands/state_folder.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "collector/sources/peer_owner.h"

namespace fleetledger {
namespace {

std::string reason() { return std::strerror(errno); }

std::string lock_file(const std::string& folder) { return folder + "/fleetledger.lock"; }

/// The nearest folder above, or this one, that is there.
std::filesystem::path nearest_existing(std::filesystem::path folder) {
  struct stat found {};
  while (stat(folder.c_str(), &found) != 0 && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  return folder;
}

/// The folder in which this one would have to be made, if that belongs to neither us nor root; else empty.
std::string other_owners(const std::filesystem::path& folder) {
  const auto there = nearest_existing(folder);
  struct stat found {};
  return stat(there.c_str(), &found) != 0 || found.st_uid == geteuid() || found.st_uid == 0 ? std::string()
                                                                                            : there.string();
}

/// Of the state folder, which is there.
Result<void> check_existing(const std::string& folder, const std::string& doing) {
  struct stat found {};
  if (lstat(folder.c_str(), &found) != 0) {
    return fail(doing + reason());
  }
  if (!S_ISDIR(found.st_mode)) {
    return fail(doing + "there is something else in its place");
  }
  if (found.st_uid != geteuid()) {
    return fail(doing + "it belongs to another user");
  }
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(doing + "others may write there; make it yours alone: chmod 700");
  }
  return {};
}

/// The digits that the file begins with.
std::string read_pid(int file) {
  std::array<char, 16> text{};
  const auto size = pread(file, text.data(), text.size() - 1, 0);
  return size > 0 ? std::string(text.data(), strspn(text.data(), "0123456789")) : std::string();
}

}  // namespace

Result<void> make_state_folder(const std::string& folder) {
  const auto doing = "make the state folder " + folder + ": ";
  const auto parent = std::filesystem::path(folder).parent_path();
  if (const auto theirs = other_owners(parent); !theirs.empty()) {
    return fail(doing + theirs + " belongs to another user");
  }
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) {
    return fail(doing + error.message());
  }
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(doing + reason());
  }
  return check_existing(folder, doing);
}

Result<void> check_state_folder(const std::string& folder) {
  const auto doing = "use the state folder " + folder + ": ";
  struct stat found {};
  const bool there = lstat(folder.c_str(), &found) == 0;
  if (const auto good = there ? check_existing(folder, doing) : Result<void>(); !good) {
    return good;
  }
  const auto parent = std::filesystem::path(folder).parent_path();
  if (const auto theirs = other_owners(parent); !there && !theirs.empty()) {
    return fail(doing + theirs + " belongs to another user");
  }
  const auto written = there ? std::filesystem::path(folder) : nearest_existing(parent);
  if (access(written.c_str(), W_OK | X_OK) != 0) {
    return fail(doing + (there ? "" : written.string() + ": ") + reason());
  }
  return {};
}

Result<WriterLock> WriterLock::take(const std::string& folder) {
  const auto path = lock_file(folder);
  const auto doing = "take the lock " + path + ": ";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
  if (file < 0) {
    return fail(doing + reason());
  }
  WriterLock lock(file);
  struct stat found {};
  if (fstat(file, &found) != 0 || !S_ISREG(found.st_mode) || found.st_uid != geteuid()) {
    return fail(doing + "it is no regular file of ours");
  }
  if (found.st_nlink != 1) {
    return fail(doing + "it has another name too, so it may be somebody's file: nothing is written there");
  }
  // A lock of the process: one by flock() is held on by a child that was being started when its parent was killed.
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(file, F_SETLK, &whole) != 0) {
    if (errno != EACCES && errno != EAGAIN) {
      return fail(doing + reason());
    }
    const auto pid = read_pid(file);
    return fail(doing + "another fleetledger of this user runs already (pid " + (pid.empty() ? "unknown" : pid) + ")",
                Error::Kind::busy);
  }
  if (const auto noted = lock.note({}); !noted) {
    return fail(doing + noted.error().text);
  }
  return lock;
}

Result<void> WriterLock::note(std::span<const std::uint64_t> listeners) {
  const auto self = running_process(getpid());
  auto text =
      std::to_string(getpid()) + "\n" + std::to_string(self ? self->start.time_since_epoch().count() : 0) + "\n";
  for (const auto inode : listeners) {
    text += std::to_string(inode) + "\n";
  }
  if (ftruncate(file_, 0) != 0 || pwrite(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail(reason());
  }
  return {};
}

std::optional<LockHolder> last_lock_holder(const std::string& folder) {
  const int file = open(lock_file(folder).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return std::nullopt;
  }
  struct stat found {};
  std::array<char, 4096> buffer{};
  const bool ours = fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid();
  const auto size = ours ? pread(file, buffer.data(), buffer.size(), 0) : 0;
  close(file);
  std::istringstream text(std::string(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0));
  LockHolder holder;
  std::int64_t start = 0;
  if (!(text >> holder.process.pid >> start) || holder.process.pid <= 0) {
    return std::nullopt;
  }
  holder.process.start = BootTime{Micros{start}};
  for (std::uint64_t inode = 0; text >> inode;) {
    holder.listeners.push_back(inode);
  }
  return holder;
}

WriterLock& WriterLock::operator=(WriterLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

WriterLock::~WriterLock() {
  if (file_ >= 0) {
    close(file_);
  }
}

}  // namespace fleetledger
