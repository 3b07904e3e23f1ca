#include "collector/discovery/safe_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#ifdef __linux__
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#else
#include <sys/mount.h>
#endif

namespace fleetledger {
namespace {

#ifdef O_PATH
constexpr int kWalk = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#else
constexpr int kWalk = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
#endif
constexpr auto kYouth = std::chrono::seconds{2};

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const { return value_; }
  [[nodiscard]] int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

tl::unexpected<Error> refuse(std::string why) { return fail(std::move(why), Error::Kind::unavailable); }

tl::unexpected<Error> system_failure(int code) {
  if (code == ELOOP) return refuse("it is a link");
  if (code == ENOTDIR) return refuse("a part of its path is not a folder, or a link");
  const bool passing = code == EMFILE || code == ENFILE || code == ENOMEM || code == EIO || code == EINTR ||
                       code == EAGAIN || code == ESTALE;
  return fail(std::system_category().message(code), passing ? Error::Kind::busy : Error::Kind::unavailable);
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::int64_t>(time.tv_nsec);
}

FileIdentity identity_of(const struct stat& status) {
#ifdef __APPLE__
  const timespec& modified = status.st_mtimespec;
  const timespec& changed = status.st_ctimespec;
#else
  const timespec& modified = status.st_mtim;
  const timespec& changed = status.st_ctim;
#endif
  return {static_cast<std::uint64_t>(status.st_dev), static_cast<std::uint64_t>(status.st_ino),
          static_cast<std::int64_t>(status.st_size), nanoseconds(modified), nanoseconds(changed)};
}

/// What is wrong with a file before a byte of it is read; empty if nothing.
std::string objection(const struct stat& status, const FileLimits& limits) {
  if (S_ISDIR(status.st_mode)) return "it is a folder";
  if (S_ISFIFO(status.st_mode)) return "it is a FIFO";
  if (!S_ISREG(status.st_mode)) return "it is not a regular file";
  if (status.st_uid != limits.user && status.st_uid != 0) return "it belongs to another user";
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) > limits.size) {
    return "it is longer than " + std::to_string(limits.size) + " bytes";
  }
  return {};
}

}  // namespace

bool is_young(const FileIdentity& file, WallTime now) {
  const auto changed = std::chrono::nanoseconds{file.changed_ns};
  const auto age = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()) - changed;
  return age < kYouth && age > -kYouth;
}

Result<std::optional<Folder>> Folder::open(const std::string& path) {
#ifdef SYS_openat2
  open_how how{};
  how.flags = kWalk;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const auto opened = ::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how);
  if (opened >= 0) return std::optional(Folder(static_cast<int>(opened)));
  if (errno == ENOENT) return std::nullopt;
  // Where the kernel is too old for it, or a container does not allow it, the same takes a call for each part.
  if (errno != ENOSYS && errno != EPERM) return system_failure(errno);
#endif
  Folder root(::open("/", kWalk));
  if (root.descriptor_ < 0) return system_failure(errno);
  const auto first = path.find_first_not_of('/');
  if (first == std::string::npos) return std::optional(std::move(root));
  return root.below(std::string_view(path).substr(first));
}

Result<std::optional<Folder>> Folder::below(std::string_view path) const {
  int from = descriptor_;
  std::optional<Folder> reached;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const int next = ::openat(from, std::string(path.substr(begin, end - begin)).c_str(), kWalk);
    if (next < 0 && errno == ENOENT) return std::nullopt;
    if (next < 0) return system_failure(errno);
    reached = Folder(next);
    from = next;
    begin = end + 1;
  }
  return reached;
}

Folder::~Folder() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Folder::Folder(Folder&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Folder& Folder::operator=(Folder&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

bool Folder::is_local() const {
  struct statfs status {};
  if (::fstatfs(descriptor_, &status) != 0) return false;
#ifdef __linux__
  constexpr std::array<std::uint32_t, 8> kRemote{NFS_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC,
                                                 V9FS_MAGIC,      FUSE_SUPER_MAGIC, AFS_FS_MAGIC,    CEPH_SUPER_MAGIC};
  return std::find(kRemote.begin(), kRemote.end(), static_cast<std::uint32_t>(status.f_type)) == kRemote.end();
#else
  return (status.f_flags & MNT_LOCAL) != 0;
#endif
}

Result<FileIdentity> Folder::stat() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return system_failure(errno);
  return identity_of(status);
}

Result<std::optional<FileIdentity>> Folder::stat(const std::string& name) const {
  struct stat status {};
  if (::fstatat(descriptor_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    return std::optional(identity_of(status));
  if (errno == ENOENT) return std::nullopt;
  return system_failure(errno);
}

Result<std::optional<OpenFile>> Folder::open_file(const std::string& name, const FileLimits& limits) const {
  // Looked at before it is opened: to open a device can have effects. O_NONBLOCK for what takes its place meanwhile.
  struct stat status {};
  if (::fstatat(descriptor_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return system_failure(errno);
  }
  if (S_ISLNK(status.st_mode)) return refuse("it is a link");
  if (auto why = objection(status, limits); !why.empty()) return refuse(std::move(why));

  Descriptor file(::openat(descriptor_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return std::nullopt;
    return system_failure(errno);
  }
  if (::fstat(file.get(), &status) != 0) return system_failure(errno);
  if (auto why = objection(status, limits); !why.empty()) return refuse(std::move(why));
  return std::optional(OpenFile(file.release(), identity_of(status)));
}

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

OpenFile::OpenFile(OpenFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), identity_(other.identity_) {}

Result<std::size_t> OpenFile::read_at(std::uint64_t offset, std::span<char> into) const {
  std::size_t length = 0;
  while (length < into.size()) {
    const ssize_t got =
        ::pread(descriptor_, into.data() + length, into.size() - length, static_cast<off_t>(offset + length));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure(errno);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  return length;
}

Result<std::optional<FileText>> Folder::read(const std::string& name, const FileLimits& limits) const {
  const auto file = open_file(name, limits);
  if (!file) return fail(file.error());
  if (!*file) return std::nullopt;
  // One byte more than its size, so that a file that grew meanwhile is noticed and not taken for whole.
  const auto size = static_cast<std::size_t>((*file)->identity().size);
  FileText result{std::string(size + 1, '\0'), (*file)->identity()};
  const auto length = (*file)->read_at(0, result.text);
  if (!length) return fail(length.error());
  if (*length > size) return fail("it was written to while it was read", Error::Kind::busy);
  result.text.resize(*length);
  return std::optional(std::move(result));
}

Result<Folder::Listing> Folder::list(std::string_view ending, std::size_t most) const {
  return list([ending](std::string_view name) { return name.ends_with(ending); }, most);
}

Result<Folder::Listing> Folder::list(const std::function<bool(std::string_view)>& wanted, std::size_t most) const {
  Descriptor file(::openat(descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) return system_failure(errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(file.get()), ::closedir);
  if (!stream) return system_failure(errno);
  static_cast<void>(file.release());

  Listing listing;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) return system_failure(errno);
      return listing;
    }
    const std::string_view name = entry->d_name;
    if (!wanted(name)) continue;
    if (listing.names.size() == most) {
      listing.cut = true;
      return listing;
    }
    listing.names.emplace_back(name);
  }
}

Result<std::optional<Folder>> open_instar(const std::string& path) {
  const auto folder = Folder::open(path);
  if (!folder) return fail(folder.error());
  if (!*folder) return std::nullopt;
  return (*folder)->below(".instar");
}

bool identify(const Result<std::optional<Folder>>& folder, FolderIdentity& known) {
  const auto now = folder && *folder ? (*folder)->stat() : Result<FileIdentity>(FileIdentity{});
  const FolderIdentity found = now ? FolderIdentity{now->device, now->inode} : FolderIdentity{};
  if (found.device == known.device && found.inode == known.inode) return false;
  known = found;
  known.local = found.exists() && (*folder)->is_local();
  return true;
}

FileLook look_at_file(const Folder& folder, const std::string& name, const FileLimits& limits, WallTime now,
                      FileMark& mark) {
  using Outcome = FileLook::Outcome;
  const auto failed = [&mark](const Error& error, bool again) {
    mark.again = again;
    return FileLook{Outcome::failed, {}, error.text};
  };
  const auto identity = folder.stat(name);
  if (!identity) return failed(identity.error(), true);
  if (!*identity) {
    mark = {};
    return {Outcome::missing, {}, {}};
  }
  if (!mark.again && mark.seen == **identity) return {};
  mark.seen = **identity;
  auto file = folder.read(name, limits);
  if (!file) return failed(file.error(), file.error().kind == Error::Kind::busy);
  if (!*file) {
    mark = {};
    return {Outcome::missing, {}, {}};
  }
  mark = {(*file)->identity, is_young((*file)->identity, now)};
  return {Outcome::read, std::move((*file)->text), {}};
}

}  // namespace fleetledger
