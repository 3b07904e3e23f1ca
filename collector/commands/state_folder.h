#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/process.h"
#include "core/result.h"

namespace fleetledger {

/// Makes our state folder (mode 0700, its parents as needed) if it is not there. Fails if it is a link, no folder, or
/// somebody else's.
[[nodiscard]] Result<void> make_state_folder(const std::string& folder);

/// The process that took the writer's lock last, whether it runs or not. Nothing if there was none.
[[nodiscard]] std::optional<Pid> last_lock_holder(const std::string& folder);

/// Held as long as this process may write ledgers: one collector per user. Let go when it is destroyed, or by the
/// kernel when the process ends, however it ends.
class WriterLock {
 public:
  /// Takes <folder>/fleetledger.lock; the folder exists. Fails with Kind::busy and the holder's pid if it is held.
  [[nodiscard]] static Result<WriterLock> take(const std::string& folder);

  WriterLock(WriterLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  WriterLock& operator=(WriterLock&& other) noexcept;
  ~WriterLock();

 private:
  explicit WriterLock(int file) : file_(file) {}

  int file_ = -1;
};

}  // namespace fleetledger
