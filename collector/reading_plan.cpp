#include "collector/reading_plan.h"

#include <algorithm>
#include <utility>

namespace fleetledger {

bool ReadingPlan::changed(const std::string& folder) {
  const bool first = changed_.empty();
  if (std::find(changed_.begin(), changed_.end(), folder) == changed_.end()) {
    changed_.push_back(folder);
  }
  return first;
}

ReadingPlan::Reading ReadingPlan::begin(Depth depth, MonotonicTime now,
                                        const std::function<std::vector<std::string>()>& unwatched) {
  if (now >= check_due()) {
    depth = std::max(depth, Depth::changed);  // ticks may leave no time for a reading of its own
  }
  Reading reading{.depth = depth, .news = {std::exchange(changed_, {}), {}}};
  if (depth != Depth::told) {
    checked_ = now;
  }
  const bool ticks = std::exchange(tick_begun_, false);
  if (ticks && depth == Depth::told) {
    reading.news.unwatched = unwatched();
  }
  reading.asks_unwatched = ticks || depth != Depth::told;
  return reading;
}

}  // namespace fleetledger
