#pragma once

#include <string_view>

namespace fleetledger::schemas {

// The answers' JSON Schemas, as JSON. They live as long as the program. Fields may be added to answers; each that is
// named is there.

[[nodiscard]] std::string_view summary();
[[nodiscard]] std::string_view samples();
[[nodiscard]] std::string_view rate_limits();
[[nodiscard]] std::string_view rate_limit_context();
[[nodiscard]] std::string_view trend();
[[nodiscard]] std::string_view agent();
[[nodiscard]] std::string_view agents();
[[nodiscard]] std::string_view fleet_summary();
[[nodiscard]] std::string_view fleet_now();
[[nodiscard]] std::string_view process();
[[nodiscard]] std::string_view status();
[[nodiscard]] std::string_view openapi();
[[nodiscard]] std::string_view error();

}  // namespace fleetledger::schemas
