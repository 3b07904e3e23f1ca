#include "backends/activity_builder.h"

#include <algorithm>
#include <cmath>

namespace fleetledger {

void ActivityBuilder::add(const Sample& row) {
  const bool known = row.usage && row.interval && row.interval->count() > 0;
  const Micros length = known ? *row.interval : Micros{0};
  const Micros behind_since = std::min(Micros{row.ts - since_}, length);
  const Micros behind_until = std::max(Micros{row.ts - until_}, Micros{0});
  const Micros inside = behind_since - behind_until;
  if (known ? inside <= Micros{0} : row.ts > until_) {
    return;
  }
  SourceActivity& source = by_source_[row.source];
  source.source = row.source;
  if (known) {
    const double share = static_cast<double>(inside.count()) / static_cast<double>(length.count());
    const double used = static_cast<double>(row.usage->micros().count()) * share;
    source.usage = source.usage.value_or(Usage{}) + Usage{Micros{std::llround(used)}};
    source.measured += inside;
  }
}

std::vector<SourceActivity> ActivityBuilder::sources() && {
  std::vector<SourceActivity> result;
  for (auto& [name, source] : by_source_) {
    result.push_back(std::move(source));
  }
  return result;
}

}  // namespace fleetledger
