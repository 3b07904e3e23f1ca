#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

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

/// The same for work that makes something, which `done` is given, unless `owner` has gone by then.
template <typename Make, typename Done>
void make_in_pool(uv_loop_s* loop, std::weak_ptr<const void> owner, Make make, Done done) {
  struct Job {
    Make make;
    std::optional<std::invoke_result_t<Make&>> made;
  };
  const auto job = std::make_shared<Job>(Job{std::move(make), {}});
  run_in_pool(
      loop, [job] { job->made = job->make(); },
      [job, owner = std::move(owner), done = std::move(done)] {
        if (!owner.expired()) {
          done(std::move(*job->made));
        }
      });
}

}  // namespace fleetledger
