#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/process.h"
#include "core/result.h"

namespace fleetledger {

/// "~" alone or before a slash replaced by `home`; slashes at the end are cut off.
[[nodiscard]] std::string expand_home(std::string_view path, const std::string& home);

/// The part after the last slash.
[[nodiscard]] std::string_view last_part(std::string_view path);

/// The real path of a folder that belongs to `user`. Otherwise why not.
[[nodiscard]] Result<std::string> resolve_folder(const std::string& path, Uid user);

/// Whether it names several paths.
[[nodiscard]] bool is_glob(const std::string& pattern);

/// The paths that a glob names now, at most a thousand.
[[nodiscard]] std::vector<std::string> expand_glob(const std::string& pattern);

/// Whether there is a folder `.instar` in it, or something of that name.
[[nodiscard]] bool has_instar(const std::string& home);

}  // namespace fleetledger
