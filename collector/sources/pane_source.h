#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/process.h"
#include "core/result.h"

namespace fleetledger {

/// One pane of one tmux session. Grouped sessions list one pane under several names.
struct Pane {
  Pid tmux_server = 0;
  Pid pid = 0;
  bool dead = false;  ///< its process has ended, tmux keeps the pane
  std::string session;

  friend bool operator==(const Pane&, const Pane&) = default;
};

/// Which processes stand for which tmux sessions.
class PaneSource {
 public:
  using Done = std::function<void(Result<std::vector<Pane>>)>;

  virtual ~PaneSource() = default;

  /// Asks once and calls `done` exactly once, on the loop's thread, possibly before this returns. One call at a time.
  /// No tmux server is no pane, not an error. On failure nothing is known: the last good panes stand.
  virtual void list(Done done) = 0;
};

}  // namespace fleetledger
