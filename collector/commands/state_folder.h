#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/process.h"
#include "core/result.h"

namespace fleetledger {

/// Makes our state folder (mode 0700, its parents as needed) if it is not there. Fails if it is a link, no folder, or
/// somebody else's.
[[nodiscard]] Result<void> make_state_folder(const std::string& folder);

/// Whether make_state_folder() and then WriterLock::take() could do it, as far as can be told without making anything.
[[nodiscard]] Result<void> check_state_folder(const std::string& folder);

/// Who took the writer's lock last, as it said itself in the lock's file.
struct LockHolder {
  ProcessKey process;
  std::vector<std::uint64_t> listeners;  ///< inodes of the TCP sockets at which it listens
};

/// The process that took the writer's lock last, whether it runs or not. Nothing if there was none, or if the file is a
/// link or somebody else's. Not in a process that holds a WriterLock: closing the file would let go of it.
[[nodiscard]] std::optional<LockHolder> last_lock_holder(const std::string& folder);

/// Held as long as this process may write ledgers: one collector per user. Let go when it is destroyed, or by the
/// kernel when the process ends, however it ends.
class WriterLock {
 public:
  /// Takes <folder>/fleetledger.lock; the folder exists. Fails with Kind::busy and the holder's pid if it is held.
  [[nodiscard]] static Result<WriterLock> take(const std::string& folder);

  /// Writes down, for others to read, at which sockets this process listens.
  [[nodiscard]] Result<void> note(std::span<const std::uint64_t> listeners);

  WriterLock(WriterLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  WriterLock& operator=(WriterLock&& other) noexcept;
  ~WriterLock();

 private:
  explicit WriterLock(int file) : file_(file) {}

  int file_ = -1;
};

}  // namespace fleetledger
