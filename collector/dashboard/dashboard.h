#pragma once

#include <optional>
#include <string_view>

#include "collector/http/message.h"

namespace fleetledger {

inline constexpr std::string_view kDashboardPage = "index.html";

/// A file of the dashboard, by its name without a folder: 200 or 304; nothing if there is no such file. The files hold
/// no data of anybody, so whoever asks may have them.
[[nodiscard]] std::optional<Response> answer_dashboard_file(std::string_view name, const Request& request);

}  // namespace fleetledger
