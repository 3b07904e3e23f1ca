#pragma once

#include <functional>

struct uv_loop_s;

namespace fleetledger {

/// Runs `work` on libuv's pool and then `done` on the loop's thread. Neither may throw. Both are destroyed on the
/// loop's thread. Whatever `done` refers to must be alive when it runs, or be asked for through a weak_ptr: a job
/// cannot be called back once it has begun, and the loop does not end before it is done.
void run_in_pool(uv_loop_s* loop, std::function<void()> work, std::function<void()> done);

}  // namespace fleetledger
