#pragma once

#include <cstddef>
#include <functional>

struct uv_loop_s;

namespace fleetledger {

/// Threads of libuv's pool. More than all its users together have under way at a time, so that none can starve another.
inline constexpr std::size_t kPoolThreads = 40;

/// Sees to it, before anything runs there, that the pool has these threads: more if the environment asks for more.
void size_pool();

/// Runs `work` on libuv's pool and then `done` on the loop's thread. Neither may throw. Both are destroyed on the
/// loop's thread. Whatever `done` refers to must be alive when it runs, or be asked for through a weak_ptr: a job
/// cannot be called back once it has begun, and the loop does not end before it is done.
void run_in_pool(uv_loop_s* loop, std::function<void()> work, std::function<void()> done);

}  // namespace fleetledger
