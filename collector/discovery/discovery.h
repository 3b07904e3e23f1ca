#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collector/discovery/watched_folder.h"
#include "config/config.h"
#include "config/secret.h"
#include "core/agent.h"
#include "core/process.h"
#include "core/units.h"

namespace fleetledger {

/// How an agent's own HTTP server is reached. Kept apart from Agent, which is shown to people.
struct AgentAccess {
  AgentToken token;
  std::optional<std::uint16_t> port;
  std::string project_name;  ///< what it calls itself; foreign text, may be empty

  friend bool operator==(const AgentAccess&, const AgentAccess&) = default;
};

/// All agents of our user, as their files say. Immutable once published.
struct Fleet {
  std::vector<Agent> agents;           ///< by id; those that are excluded or no longer registered are not here
  std::vector<AgentAccess> access;     ///< one for each of agents, in their order
  std::vector<WatchedFolder> folders;  ///< what to hand to the Watcher, by path
  std::vector<WatchedFolder> silent;   ///< likewise, on disks that do not answer: not to be touched
  std::vector<std::string> remarks;    ///< about homes, registries and our own lists: what was skipped, and why
  std::uint64_t version = 0;           ///< another one whenever anything above differs
};

/// Where an agent's sentinels write their log.
[[nodiscard]] std::string logs_folder(const AgentIdentity& agent);

struct DiscoveryOptions {
  DiscoveryConfig config;
  AgentSettings defaults;  ///< sampling.* and storage.* of our config: for agents whose own config says nothing
  std::string home;        ///< absolute: what "~" stands for
  Uid user = 0;            ///< whose homes and agents are read
};

/// How thoroughly to look.
enum class Depth {
  told,     ///< the folders that are named as changed or as unwatched, and files that were young or could not be judged
  changed,  ///< whatever is told: registries, where agents' paths lead, configs, live sessions; every minute
  folders,  ///< also each session folder again, file by file, and the homes' globs: at start, and every ten minutes
};

/// Folders, as Fleet::folders has them.
struct FolderNews {
  std::vector<std::string> changed;    ///< at any depth they are looked at, and listed again
  std::vector<std::string> unwatched;  ///< likewise looked at: not all is told of them (Watcher::tells_all)
};

/// Finds the agents of this user and keeps what is known of them up to date. Reads each file again only when it
/// changed. Whatever the files hold, nothing here fails: what cannot be read is told in `reason` and `remarks`, and
/// what was known of it before stays in force. So it is with the folder of an agent, or a home, whose disk hangs, as
/// long as it does: see FolderReaders.
/// Any thread, one call at a time.
class Discovery {
 public:
  explicit Discovery(DiscoveryOptions options);
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  /// Looks at the files and returns the fleet: the same object as before if nothing is different. Waits for the disk,
  /// two seconds for one that has begun to hang: to be called in the pool. `now` is compared with the times of files:
  /// those changed in the last 2 s are read again at the next call.
  [[nodiscard]] std::shared_ptr<const Fleet> refresh(Depth depth, WallTime now, const FolderNews& news = {});

  /// Other options from the next refresh() on, which is then one with Depth::folders. What was read stays known.
  void reconfigure(DiscoveryOptions options);

 private:
  class Impl;

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
