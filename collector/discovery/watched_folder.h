#pragma once

#include <cstdint>
#include <string>

namespace fleetledger {

/// Tells a folder from another one of its name. All zero where there is none, or none that can be looked at; see
/// identify().
struct FolderIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool local = false;  ///< see Folder::is_local

  [[nodiscard]] bool exists() const { return inode != 0; }

  friend auto operator<=>(const FolderIdentity&, const FolderIdentity&) = default;
};

/// A folder whose changes matter. It may not exist yet.
struct WatchedFolder {
  enum class Holds {
    settings,  ///< a registry or a config
    sessions,  ///< session files
    logs,      ///< a log of sentinels: told apart from the others, since discovery does not read it
  };
  std::string path;
  Holds holds = Holds::settings;
  FolderIdentity which{};  ///< as it was looked at: one that has taken its place is another one

  friend auto operator<=>(const WatchedFolder&, const WatchedFolder&) = default;
};

}  // namespace fleetledger
