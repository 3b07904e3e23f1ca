#include "collector/loop/open_loop.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <latch>
#include <sched.h>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <uv.h>
#include <vector>

#include "collector/loop/worker.h"

namespace fleetledger {
namespace {

/// What a loop opens and what a child and its pipes take; with less nothing can be measured.
constexpr std::size_t kDescriptors = 16;
/// For so many there is room from the start.
constexpr rlim_t kRoomForDescriptors = 16384;

tl::unexpected<Error> cannot(const std::string& why) { return fail("start: " + why, Error::Kind::unavailable); }

std::size_t pool_size() {
  constexpr long kDefault = 4;  // libuv's
  constexpr long kMost = 1024;  // likewise
  const char* wanted = std::getenv("UV_THREADPOOL_SIZE");
  const long size = wanted == nullptr ? kDefault : std::strtol(wanted, nullptr, 10);
  return static_cast<std::size_t>(size < 1 ? kDefault : size > kMost ? kMost : size);
}

Result<void> try_threads(std::size_t count) {
  std::vector<std::thread> threads;
  std::latch go(1);
  std::string why;
  try {
    while (threads.size() < count) threads.emplace_back([&go] { go.wait(); });
  } catch (const std::system_error& refused) {
    why = refused.code().message();
  }
  go.count_down();
  for (auto& thread : threads) thread.join();
  if (!why.empty()) {
    return cannot("no " + std::to_string(count) + " threads can be had (" + why +
                  "): the limit of this user's processes or of its group is reached");
  }
  return {};
}

Result<void> try_descriptors() {
  std::vector<int> opened;
  while (opened.size() < kDescriptors) {
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) break;
    opened.push_back(descriptor);
  }
  const std::string why = std::error_code(errno, std::system_category()).message();
  for (const int descriptor : opened) ::close(descriptor);
  if (opened.size() < kDescriptors) {
    return cannot("no " + std::to_string(kDescriptors) + " further descriptors can be had: " + why);
  }
  return {};
}

/// The kernel makes a process' table of descriptors twice as large whenever it is full; where there are threads it
/// waits 10 to 30 ms each time for all cores, and whoever opens something meanwhile waits too. Alone, nobody waits.
void make_room_for_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 1) return;
  const auto last = static_cast<int>(std::min(limit.rlim_cur, kRoomForDescriptors) - 1);
  const int any = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int moved = any < 0 ? any : ::fcntl(any, F_DUPFD_CLOEXEC, last);
  if (moved >= 0) ::close(moved);
  if (any >= 0) ::close(any);
}

/// The pool's threads, which take over what the thread has by which they are made, and the programs that they start
/// later have their share of the CPU, but when they wake they do not push aside what runs: neither the loop nor an
/// agent.
void make_pool(uv_loop_t* loop) {
#ifdef SCHED_BATCH
  const sched_param none{};
  const bool batch = ::sched_getscheduler(0) == SCHED_OTHER && ::sched_setscheduler(0, SCHED_BATCH, &none) == 0;
#endif
  run_in_pool(
      loop, [] {}, [] {});
#ifdef SCHED_BATCH
  if (batch) ::sched_setscheduler(0, SCHED_OTHER, &none);
#endif
}

}  // namespace

Result<void> open_loop(uv_loop_s* loop) {
  if (auto tried = try_descriptors(); !tried) return tried;
  make_room_for_descriptors();
  if (auto tried = try_threads(pool_size()); !tried) return tried;
  if (const int status = uv_loop_init(loop); status != 0) return cannot(uv_strerror(status));
  make_pool(loop);  // now, while there is room for its threads
  return {};
}

}  // namespace fleetledger
