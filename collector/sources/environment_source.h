#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

/// Whose a process is, by its own environment: all that is ever kept of one. Foreign text, and whoever runs as the same
/// user can write anything there. Each may be empty.
struct Declaration {
  std::string agent_home;  ///< INSTAR_AGENT_HOME
  std::string agent_id;    ///< INSTAR_AGENT_ID
  std::string session_id;  ///< INSTAR_SESSION_ID

  [[nodiscard]] bool empty() const { return agent_home.empty() && agent_id.empty(); }
  friend bool operator==(const Declaration&, const Declaration&) = default;
};

/// Reads `NAME=value` texts that are ended by NULs each; one that is not ended is left out, of several with one name
/// the first counts, and a value that is longer than a path can be counts as empty. Pure.
[[nodiscard]] Declaration parse_environment(std::string_view environment);

struct DeclaredProcess {
  ProcessKey process;
  Declaration says;
};

/// Where environments are read: /proc, or a test's own.
class EnvironmentSource {
 public:
  virtual ~EnvironmentSource() = default;

  /// What these processes say, of those that say something. One that is gone, is another by now (its start is off by
  /// more than the slack), is not of our user or may not be read says nothing. May block: any thread that may wait, one
  /// call at a time.
  [[nodiscard]] virtual std::vector<DeclaredProcess> read(std::span<const ProcessKey> processes,
                                                          Micros start_slack) = 0;
};

/// Reads PID/environ of Linux, at most the first 128 KiB of each; everything else in it is overwritten at once.
/// nullptr where there is no such folder.
[[nodiscard]] std::unique_ptr<EnvironmentSource> make_environment_source(Uid user, const std::string& root = "/proc");

}  // namespace fleetledger
