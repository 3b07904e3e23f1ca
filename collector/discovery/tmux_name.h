#pragma once

#include <string>
#include <string_view>

namespace fleetledger {

/// What tmux makes of a session's name: '.' and ':' become '_', control characters, '\' and a '$' before a name are
/// written as its `list-panes` shows them ("\n", "\001", "\\", "\$").
[[nodiscard]] std::string name_in_tmux(std::string_view name);

}  // namespace fleetledger
