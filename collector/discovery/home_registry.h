#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "collector/discovery/kept_file.h"
#include "config/registry.h"
#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

/// The registry of one home: `.instar/registry.json`, or the legacy one where that is missing.
class HomeRegistry {
 public:
  /// `home` is a real path.
  explicit HomeRegistry(std::string home) : home_(std::move(home)) {}

  /// Whether anything below is different from before. A registry that cannot be read leaves what was known.
  bool refresh(Uid user, WallTime now);

  /// Which folder it is in.
  [[nodiscard]] const FolderIdentity& which() const { return which_; }

  /// A file was young or could not be judged: what it says now is known at the next refresh.
  [[nodiscard]] bool unsettled() const { return current_.mark.again || (current_.missing && legacy_.mark.again); }

  [[nodiscard]] const std::vector<RegistryEntry>& entries() const;
  [[nodiscard]] std::vector<std::string> remarks() const;

 private:
  std::string home_;
  FolderIdentity which_;
  KeptFile<Registry> current_;
  KeptFile<Registry> legacy_;
};

}  // namespace fleetledger
