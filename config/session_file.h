#pragma once

#include <string>
#include <string_view>

#include "core/agent.h"
#include "core/result.h"

namespace fleetledger {

struct SessionFile {
  bool live = false;  ///< its status is starting or running
  Session session;    ///< foreign text; filled in only if live, and all of it but the id may be empty
};

/// state/sessions/<id>.json. The id is the file's name without ".json": two files never share one.
/// A text that is not a JSON object, or one without a status, is an Error that says why.
[[nodiscard]] Result<SessionFile> parse_session_file(std::string_view id, std::string_view text);

}  // namespace fleetledger
