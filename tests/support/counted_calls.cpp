#include "tests/support/counted_calls.h"

#include <cstdarg>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

using fleetledger::test::CountedCalls;

namespace {

struct Counting {
  std::mutex mutex;
  CountedCalls calls;
};

/// Made when it is first needed: others' globals may open files too.
Counting& counting() {
  static Counting made;
  return made;
}

void count(CountedCalls::Names CountedCalls::*names = nullptr, const char* name = nullptr) {
  const std::lock_guard lock(counting().mutex);
  auto& calls = counting().calls;
  ++calls.all;
  if (names != nullptr) {
    ++(calls.*names)[name];
  }
}

int count_and_open(int folder, const char* name, int flags, mode_t mode) {
  count((flags & O_DIRECTORY) == 0 ? &CountedCalls::opened : nullptr, name);
  return static_cast<int>(syscall(SYS_openat, folder, name, flags, mode));
}

}  // namespace

extern "C" int open(const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return count_and_open(AT_FDCWD, name, flags, mode);
}

extern "C" int openat(int folder, const char* name, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return count_and_open(folder, name, flags, mode);
}

extern "C" int fstatat(int folder, const char* name, struct stat* status, int flags) noexcept {
  count(&CountedCalls::stats, name);
  return static_cast<int>(syscall(SYS_newfstatat, folder, name, status, flags));
}

extern "C" ssize_t pread(int file, void* into, size_t size, off_t offset) {
  count();
  return syscall(SYS_pread64, file, into, size, offset);
}

namespace fleetledger::test {

CountedCalls take_counted_calls() {
  const std::lock_guard lock(counting().mutex);
  return std::exchange(counting().calls, {});
}

}  // namespace fleetledger::test
