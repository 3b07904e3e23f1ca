#pragma once

#include "core/result.h"

struct uv_loop_s;

namespace fleetledger {

/// Makes a loop and the threads of libuv's pool (as many as UV_THREADPOOL_SIZE says). Where the system gives this user
/// no further thread or descriptor, libuv would end the program without a word: so that is tried first, and is an Error
/// (Kind::unavailable) that says what there is not enough of. The loop has to run before it is closed, after success.
/// On Linux the pool's threads, and what they start, are SCHED_BATCH where the calling thread is SCHED_OTHER.
/// Makes room for descriptors, too, so that no thread has to wait for that later: for as many as the process may open,
/// 16,384 at most.
[[nodiscard]] Result<void> open_loop(uv_loop_s* loop);

}  // namespace fleetledger
