#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "collector/discovery/safe_file.h"
#include "core/result.h"

namespace fleetledger {

/// A foreign file as it could last be read, and what is wrong with it now.
template <typename T>
struct KeptFile {
  FileMark mark;
  std::optional<T> good;  ///< its last good content
  bool missing = false;   ///< there is no such file (`problem` says so too)
  std::string problem;    ///< why it cannot be read as it is; empty if `good` is what it says

  /// Looks at the file and reads it if it changed. `folder` is where it should be, or why there is no such folder.
  /// Whether anything is different from before.
  template <typename Parse>
  bool refresh(const Result<std::optional<Folder>>& folder, const std::string& name, const FileLimits& limits,
               WallTime now, const Parse& parse) {
    if (!folder) {
      mark.again = true;
      return set(false, folder.error().text);
    }
    FileLook look{FileLook::Outcome::missing, {}, {}};
    if (*folder) {
      look = look_at_file(**folder, name, limits, now, mark);
    } else {
      mark = {};
    }
    switch (look.outcome) {
      case FileLook::Outcome::unchanged:
        return false;
      case FileLook::Outcome::missing:
        return set(true, "it does not exist");
      case FileLook::Outcome::failed:
        return set(false, look.reason);
      case FileLook::Outcome::read:
        break;
    }
    Result<T> parsed = parse(look.text);
    if (!parsed) return set(false, parsed.error().text);
    good = std::move(*parsed);
    set(false, {});
    return true;
  }

 private:
  bool set(bool is_missing, std::string what) {
    const bool changed = is_missing != missing || what != problem;
    missing = is_missing;
    problem = std::move(what);
    return changed;
  }
};

}  // namespace fleetledger
