#pragma once

#include <string>
#include <string_view>

#include "collector/http/message.h"

namespace fleetledger {

/// An answer whose body is this JSON text.
[[nodiscard]] Response json_response(int status, std::string body);

/// {"error": text}
[[nodiscard]] Response error_response(int status, std::string_view text);

}  // namespace fleetledger
