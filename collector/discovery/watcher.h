#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/discovery/watched_folder.h"

struct uv_loop_s;

namespace fleetledger {

/// Tells at once when a registry, a config, a session file or a log of sentinels changes. Only a hint: what it misses
/// (no more watches to be had, a folder on a network) is found at the next tick, or at the next Depth::changed. All on
/// the loop's thread. The loop outlives the watcher and runs on until its handles are closed.
class Watcher {
 public:
  /// Called with the folder, as it was handed in; often several times for one change. Also for each folder that it
  /// begins to watch, as it does: what changed since the folder was read is told by nobody else.
  using Changed = std::function<void(const WatchedFolder& folder)>;

  static constexpr std::size_t kMostFolders = 4'096;

  Watcher(uv_loop_s* loop, Changed changed, std::size_t most_folders = kMostFolders);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Watches those of these folders that exist, and no others, from now on. Where many are new, the first of them at
  /// once and the rest in the loop's next turns. To begin to watch one takes the disk, which has to have answered just
  /// before, as it has for any folder that is not what it was. Those that could not be watched, or were lost since, are
  /// tried again if `retry` says that theirs have. Of `silent` ones, whose disk does not answer, those are watched on
  /// that are watched, and no other is touched.
  void watch(const std::vector<WatchedFolder>& folders, const std::vector<WatchedFolder>& silent = {},
             bool retry = true);

  /// Whether to hand in the same folders again would change nothing: none is to be begun, or failed, or was lost.
  [[nodiscard]] bool settled() const;
  [[nodiscard]] bool is_watching(const WatchedFolder& folder) const;
  /// Whether all is told that changes there: it is watched, and it is on a disk of this host. Of the others the kernel
  /// tells only what this host changes, if that.
  [[nodiscard]] bool tells_all(const WatchedFolder& folder) const;
  /// The same of whichever folder is watched by this name.
  [[nodiscard]] bool tells_all(const std::string& path, WatchedFolder::Holds holds) const;
  /// How many folders are watched at the moment.
  [[nodiscard]] std::size_t watching() const;
  /// Why some were not watched when they were last gone through, other than that they do not exist; nothing if all went
  /// well.
  [[nodiscard]] const std::optional<std::string>& remark() const;

 private:
  class Impl;

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
