#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fleetledger {

/// What is known of the user's places. An empty text counts as absent.
struct PathSources {
  std::string home_option;      ///< `--home`: stands in for the user's home; XDG_* are then not looked at
  std::string home;             ///< $HOME, or from the passwd entry
  std::string xdg_config_home;  ///< not looked at unless absolute, as the XDG specification wants it
  std::string xdg_state_home;   ///< likewise
};

/// All absolute, without a slash at the end.
struct UserPaths {
  std::string home;
  std::string config_file;  ///< $XDG_CONFIG_HOME/fleetledger/config.yaml
  std::string state;        ///< $XDG_STATE_HOME/fleetledger

  friend bool operator==(const UserPaths&, const UserPaths&) = default;
};

/// Pure: touches no file. Fails if no absolute home is known.
[[nodiscard]] Result<UserPaths> user_paths(const PathSources& sources);

/// "~" and "<state>" at the start of `path`, alone or before a slash, replaced; anything else is left as it is.
[[nodiscard]] std::string expand_path(std::string_view path, const UserPaths& paths);

}  // namespace fleetledger
