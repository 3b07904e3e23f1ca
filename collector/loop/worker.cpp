#include "collector/loop/worker.h"

#include <memory>
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
