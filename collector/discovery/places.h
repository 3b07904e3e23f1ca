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

struct FoundHomes {
  std::vector<std::string> homes;    ///< real paths, each once, in the order of the patterns
  std::vector<std::string> remarks;  ///< which are left out, and why
};

/// The homes that `patterns` (globs) name. Of a glob's matches only those with a folder `.instar`.
[[nodiscard]] FoundHomes find_homes(const std::vector<std::string>& patterns, const std::string& home, Uid user);

}  // namespace fleetledger
