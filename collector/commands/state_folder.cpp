#include "collector/commands/state_folder.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace fleetledger {
namespace {

std::string reason() { return std::strerror(errno); }

}  // namespace

Result<void> make_state_folder(const std::string& folder) {
  const auto doing = "make the state folder " + folder + ": ";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
  if (error) {
    return fail(doing + error.message());
  }
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(doing + reason());
  }
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
  return {};
}

Result<WriterLock> WriterLock::take(const std::string& folder) {
  const auto path = folder + "/fleetledger.lock";
  const auto doing = "take the lock " + path + ": ";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
  if (file < 0) {
    return fail(doing + reason());
  }
  WriterLock lock(file);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      return fail(doing + reason());
    }
    std::array<char, 16> holder{};
    const auto size = pread(file, holder.data(), holder.size() - 1, 0);
    const auto pid =
        size > 0 ? std::string(holder.data(), strspn(holder.data(), "0123456789")) : std::string("unknown");
    return fail(doing + "another fleetledger of this user runs already (pid " + pid + ")", Error::Kind::busy);
  }
  const auto pid = std::to_string(getpid()) + "\n";
  if (ftruncate(file, 0) != 0 || pwrite(file, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail(doing + reason());
  }
  return lock;
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
