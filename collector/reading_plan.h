#pragma once

#include <functional>
#include <string>
#include <vector>

#include "collector/discovery/discovery.h"
#include "core/units.h"

namespace fleetledger {

/// What the next reading of the agents' files looks at, of all that was told and came due since the last one. Loop
/// thread only.
class ReadingPlan {
 public:
  /// All files are stat'ed this often, whatever the watches say.
  static constexpr Micros kCheckAll = std::chrono::seconds{60};

  explicit ReadingPlan(MonotonicTime now) : checked_(now) {}

  /// A folder is told to have changed. Whether it is the first one since the last reading.
  bool changed(const std::string& folder);
  /// Folders of which not all is told are looked at once a tick, however often others tell of changes.
  void tick_begins() { tick_begun_ = true; }
  /// When all files are due to be stat'ed.
  [[nodiscard]] MonotonicTime check_due() const { return checked_ + kCheckAll; }
  /// That is asked for, and comes when what is read now is there.
  void check_asked_for(MonotonicTime now) { checked_ = now; }

  struct Reading {
    Depth depth = Depth::told;
    FolderNews news;
    /// Whether every folder that is not watched is looked at: then one whose disk answers can be tried to be watched.
    bool asks_unwatched = false;
  };
  /// The reading that begins now, at least as thorough as `depth`. `unwatched` is asked for those folders, if need be.
  [[nodiscard]] Reading begin(Depth depth, MonotonicTime now,
                              const std::function<std::vector<std::string>()>& unwatched);

 private:
  MonotonicTime checked_;
  std::vector<std::string> changed_;
  bool tick_begun_ = false;
};

}  // namespace fleetledger
