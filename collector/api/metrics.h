#pragma once

#include <string>

#include "collector/metrics_view.h"

namespace fleetledger {

/// The view in Prometheus' text format 0.0.4. Pure; any thread.
[[nodiscard]] std::string metrics_text(const MetricsView& view);

/// The table of metrics in Markdown, as the README shows it.
[[nodiscard]] std::string metrics_markdown();

}  // namespace fleetledger
