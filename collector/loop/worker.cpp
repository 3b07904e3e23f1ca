#include "collector/loop/worker.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <uv.h>

namespace fleetledger {
namespace {

struct Job {
  uv_work_t request{};
  std::function<void()> work;
  std::function<void()> done;
};

}  // namespace

void size_pool() {
  constexpr const char* kName = "UV_THREADPOOL_SIZE";
  const char* wanted = std::getenv(kName);
  if (wanted == nullptr || std::strtoul(wanted, nullptr, 10) < kPoolThreads) {
    setenv(kName, std::to_string(kPoolThreads).c_str(), 1);
  }
}

void run_in_pool(uv_loop_s* loop, std::function<void()> work, std::function<void()> done) {
  auto* job = new Job{{}, std::move(work), std::move(done)};
  job->request.data = job;
  // uv_queue_work fails only for a missing callback, which this one has.
  uv_queue_work(
      loop, &job->request, [](uv_work_t* request) { static_cast<Job*>(request->data)->work(); },
      [](uv_work_t* request, int /*status*/) {
        const std::unique_ptr<Job> finished(static_cast<Job*>(request->data));
        finished->done();
      });
}

}  // namespace fleetledger
