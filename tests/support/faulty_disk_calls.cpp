// Loaded before the C library (LD_PRELOAD): lets the disk under one agent's files fail as a test wants it. A fault is
// a file in the folder that FAULTY_DISK names: "<agent>.<fault>", see faulty_disk.h. All other files are left alone.

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <mutex>
#include <set>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr std::size_t kDescriptors = 65536;
constexpr useconds_t kStep = 2'000;
constexpr useconds_t kSlowWrite = 1'000;

std::array<std::atomic<const char*>, kDescriptors> agents;  ///< whose ledger a descriptor is open on
std::array<std::atomic<const char*>, kDescriptors> owners;  ///< whose folder it is in, ledger or not

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

/// The agent whose ledger, or folder of ledgers, this is; empty: nobody's.
std::string agent_of(const char* path) {
  constexpr std::string_view kPlace = "/.instar/server-data";
  const std::string_view text = path == nullptr ? "" : path;
  const auto at = text.find(kPlace);
  if (at == std::string_view::npos) {
    return {};
  }
  const auto begin = text.rfind('/', at - 1);
  return std::string(text.substr(begin + 1, at - begin - 1));
}

std::string name_at(const std::array<std::atomic<const char*>, kDescriptors>& names, int descriptor) {
  const auto at = static_cast<std::size_t>(descriptor);
  const char* name = descriptor >= 0 && at < kDescriptors ? names[at].load() : nullptr;
  return name == nullptr ? "" : name;
}
std::string agent_of(int descriptor) { return name_at(agents, descriptor); }

/// The agent in whose folder this is.
std::string owner_of(const char* path) {
  constexpr std::string_view kAgents = "/.instar/agents/";
  const std::string_view text = path == nullptr ? "" : path;
  const auto at = text.find(kAgents);
  if (at == std::string_view::npos) {
    return {};
  }
  const auto rest = text.substr(at + kAgents.size());
  return std::string(rest.substr(0, rest.find('/')));
}
std::string owner_of(int descriptor) { return name_at(owners, descriptor); }
std::string owner_of(int folder, const char* path) {
  return path != nullptr && *path != '/' && folder != AT_FDCWD ? owner_of(folder) : owner_of(path);
}

/// For as long as the program runs: there are few agents.
const char* kept_name(const std::string& agent) {
  static std::mutex mutex;
  static auto* const names = new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return names->insert(agent).first->c_str();
}

/// Kept from the beginning: a child that is being started has another environment already. And to the end: a thread may
/// wait here while the program goes.
const std::string& folder() {
  static const auto* const named =
      new std::string(std::getenv("FAULTY_DISK") == nullptr ? "" : std::getenv("FAULTY_DISK"));
  return *named;
}
[[gnu::constructor]] void keep_folder() { (void)folder(); }

std::string control(const std::string& agent, const char* fault) { return folder() + '/' + agent + '.' + fault; }

bool has(const std::string& agent, const char* fault) {
  static const auto access_now = real<int (*)(const char*, int)>("access");
  const int before = errno;
  const bool there = access_now(control(agent, fault).c_str(), F_OK) == 0;
  errno = before;
  return there;
}

/// Waits as long as the disk does not answer, and tells how many calls do.
void wait_for(const std::string& agent, const char* fault) {
  if (agent.empty() || !has(agent, fault)) {
    return;
  }
  static const auto open_now = real<int (*)(const char*, int, ...)>("open");
  static const auto close_now = real<int (*)(int)>("close");
  static const auto write_now = real<ssize_t (*)(int, const void*, size_t)>("write");
  const int told = open_now(control(agent, "stalled").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  (void)!write_now(told, "\n", 1);
  close_now(told);
  while (has(agent, fault)) {
    ::usleep(kStep);
  }
}
void wait_while_stalled(const std::string& agent) { wait_for(agent, "stall"); }
void wait_while_hanging(const std::string& owner) { wait_for(owner, "hang"); }

/// Remembers whose a new descriptor is.
void note(int descriptor, const std::string& agent, const std::string& owner) {
  if (descriptor >= 0 && static_cast<std::size_t>(descriptor) < kDescriptors) {
    agents[static_cast<std::size_t>(descriptor)] = agent.empty() ? nullptr : kept_name(agent);
    owners[static_cast<std::size_t>(descriptor)] = owner.empty() ? nullptr : kept_name(owner);
  }
}

/// What a change fails with; 0: it does not.
int refusal(const std::string& agent, bool takes_room) {
  if (agent.empty()) {
    return 0;
  }
  wait_while_hanging(agent);
  wait_while_stalled(agent);
  if (has(agent, "slow")) {
    ::usleep(kSlowWrite);
  }
  if (has(agent, "readonly")) {
    return EROFS;
  }
  if (has(agent, "broken")) {
    return EIO;
  }
  return takes_room && has(agent, "full") ? ENOSPC : 0;
}

int refusal_to_read(const std::string& agent) {
  wait_while_hanging(agent);
  wait_while_stalled(agent);
  return !agent.empty() && has(agent, "broken") ? EIO : 0;
}

template <typename Returned, typename Call>
Returned unless(int error, const Call& call) {
  if (error != 0) {
    errno = error;
    return -1;
  }
  return call();
}

int open_file(const char* name, const char* path, int flags, mode_t mode) {
  const auto agent = agent_of(path);
  const auto owner = owner_of(path);
  wait_while_hanging(owner);
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY;
  if (!agent.empty()) {
    wait_while_stalled(agent);
    if (changes && has(agent, "readonly")) {
      errno = EROFS;
      return -1;
    }
  }
  const int descriptor = real<int (*)(const char*, int, ...)>(name)(path, flags, mode);
  note(descriptor, agent, owner);
  return descriptor;
}

int open_in(const char* name, int folder, const char* path, int flags, mode_t mode) {
  const auto owner = owner_of(folder, path);
  wait_while_hanging(owner);
  const int descriptor = real<int (*)(int, const char*, int, ...)>(name)(folder, path, flags, mode);
  note(descriptor, agent_of(path), owner);
  return descriptor;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_file("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_file("open64", path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_in("openat", folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_in("openat64", folder, path, flags, mode);
}
/// For openat2, which has no function of its own.
long syscall(long number, ...) noexcept {
  va_list more;
  va_start(more, number);
  std::array<long, 6> given{};
  for (long& one : given) {
    one = va_arg(more, long);
  }
  va_end(more);
  static const auto next = real<long (*)(long, ...)>("syscall");
  if (number != SYS_openat2) {
    return next(number, given[0], given[1], given[2], given[3], given[4], given[5]);
  }
  const auto* path = reinterpret_cast<const char*>(given[1]);
  const auto owner = owner_of(static_cast<int>(given[0]), path);
  wait_while_hanging(owner);
  const long descriptor = next(number, given[0], given[1], given[2], given[3], given[4], given[5]);
  note(static_cast<int>(descriptor), agent_of(path), owner);
  return descriptor;
}
int close(int descriptor) {
  note(descriptor, {}, {});
  static const auto next = real<int (*)(int)>("close");
  return next(descriptor);
}

ssize_t pread(int descriptor, void* to, size_t size, off_t at) {
  static const auto next = real<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  wait_while_hanging(owner_of(descriptor));
  return unless<ssize_t>(refusal_to_read(agent_of(descriptor)), [&] { return next(descriptor, to, size, at); });
}
ssize_t pread64(int descriptor, void* to, size_t size, off64_t at) {
  static const auto next = real<ssize_t (*)(int, void*, size_t, off64_t)>("pread64");
  wait_while_hanging(owner_of(descriptor));
  return unless<ssize_t>(refusal_to_read(agent_of(descriptor)), [&] { return next(descriptor, to, size, at); });
}
ssize_t pwrite(int descriptor, const void* from, size_t size, off_t at) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return unless<ssize_t>(refusal(agent_of(descriptor), true), [&] { return next(descriptor, from, size, at); });
}
ssize_t pwrite64(int descriptor, const void* from, size_t size, off64_t at) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return unless<ssize_t>(refusal(agent_of(descriptor), true), [&] { return next(descriptor, from, size, at); });
}
int ftruncate(int descriptor, off_t size) {
  static const auto next = real<int (*)(int, off_t)>("ftruncate");
  return unless<int>(refusal(agent_of(descriptor), false), [&] { return next(descriptor, size); });
}
int ftruncate64(int descriptor, off64_t size) {
  static const auto next = real<int (*)(int, off64_t)>("ftruncate64");
  return unless<int>(refusal(agent_of(descriptor), false), [&] { return next(descriptor, size); });
}
int fsync(int descriptor) {
  static const auto next = real<int (*)(int)>("fsync");
  return unless<int>(refusal(agent_of(descriptor), false), [&] { return next(descriptor); });
}
int fdatasync(int descriptor) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return unless<int>(refusal(agent_of(descriptor), false), [&] { return next(descriptor); });
}
int unlink(const char* path) {
  static const auto next = real<int (*)(const char*)>("unlink");
  return unless<int>(refusal(agent_of(path), false), [&] { return next(path); });
}
int mknod(const char* path, mode_t mode, dev_t device) {
  static const auto next = real<int (*)(const char*, mode_t, dev_t)>("mknod");
  return unless<int>(refusal(agent_of(path), true), [&] { return next(path, mode, device); });
}

/// A start that hangs, or a child that stalls before its exec: it holds what its parent had open, and goes when the
/// fault is over.
int posix_spawn(pid_t* pid, const char* program, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  static const auto next = real<decltype(&::posix_spawn)>("posix_spawn");
  wait_while_hanging("exec");
  if (!has("exec", "stall")) {
    return next(pid, program, actions, attributes, arguments, environment);
  }
  const pid_t child = ::fork();
  if (child == 0) {
    wait_while_stalled("exec");
    ::_exit(127);
  }
  *pid = child;
  return child < 0 ? errno : 0;
}

int fstatat(int folder, const char* path, struct stat* to, int flags) {
  static const auto next = real<int (*)(int, const char*, struct stat*, int)>("fstatat");
  wait_while_hanging(owner_of(folder, path));
  return next(folder, path, to, flags);
}
int fstatat64(int folder, const char* path, struct stat64* to, int flags) {
  static const auto next = real<int (*)(int, const char*, struct stat64*, int)>("fstatat64");
  wait_while_hanging(owner_of(folder, path));
  return next(folder, path, to, flags);
}
int fstat(int descriptor, struct stat* to) {
  static const auto next = real<int (*)(int, struct stat*)>("fstat");
  wait_while_hanging(owner_of(descriptor));
  return next(descriptor, to);
}
int fstat64(int descriptor, struct stat64* to) {
  static const auto next = real<int (*)(int, struct stat64*)>("fstat64");
  wait_while_hanging(owner_of(descriptor));
  return next(descriptor, to);
}
struct dirent* readdir(DIR* folder) {
  static const auto next = real<struct dirent* (*)(DIR*)>("readdir");
  wait_while_hanging(owner_of(::dirfd(folder)));
  return next(folder);
}
int inotify_add_watch(int descriptor, const char* path, uint32_t mask) noexcept {
  static const auto next = real<int (*)(int, const char*, uint32_t)>("inotify_add_watch");
  wait_while_hanging(owner_of(path));
  return next(descriptor, path, mask);
}

int lstat(const char* path, struct stat* to) {
  static const auto next = real<int (*)(const char*, struct stat*)>("lstat");
  wait_while_hanging(owner_of(path));
  return unless<int>(refusal_to_read(agent_of(path)), [&] { return next(path, to); });
}
int stat(const char* path, struct stat* to) {
  static const auto next = real<int (*)(const char*, struct stat*)>("stat");
  wait_while_hanging(owner_of(path));
  return unless<int>(refusal_to_read(agent_of(path)), [&] { return next(path, to); });
}
int lstat64(const char* path, struct stat64* to) {
  static const auto next = real<int (*)(const char*, struct stat64*)>("lstat64");
  wait_while_hanging(owner_of(path));
  return unless<int>(refusal_to_read(agent_of(path)), [&] { return next(path, to); });
}
int stat64(const char* path, struct stat64* to) {
  static const auto next = real<int (*)(const char*, struct stat64*)>("stat64");
  wait_while_hanging(owner_of(path));
  return unless<int>(refusal_to_read(agent_of(path)), [&] { return next(path, to); });
}
char* realpath(const char* path, char* resolved) {
  static const auto next = real<char* (*)(const char*, char*)>("realpath");
  wait_while_hanging(owner_of(path));
  if (const int error = refusal_to_read(agent_of(path)); error != 0) {
    errno = error;
    return nullptr;
  }
  return next(path, resolved);
}

}  // extern "C"
