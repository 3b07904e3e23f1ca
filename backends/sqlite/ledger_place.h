#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/ledger_store.h"
#include "core/result.h"

namespace fleetledger {

/// Where a ledger belongs. Nothing says that it is there.
struct LedgerPlace {
  enum class Home {
    found,  ///< `home` belongs to the agent: without it there is no ledger
    made,   ///< `home` belongs to us: it is made with its parents
  };

  std::string home;
  Home rule = Home::found;
  std::string folder;  ///< of the ledger, in `home`; made where it is missing

  [[nodiscard]] std::string file() const;
};

/// The agent's own file, which its server may write too; and the one that is ours alone. They touch nothing. Which of
/// them has the agent's samples: see LedgerHomes.
[[nodiscard]] LedgerPlace own_place(const AgentIdentity& agent);
[[nodiscard]] LedgerPlace central_place(const AgentIdentity& agent, const std::string& central_directory);

/// The real path of a ledger; nothing if there is none. Unavailable if its folder is not ours or if it, its -wal, -shm
/// or -journal is anything but a regular file of ours.
[[nodiscard]] Result<std::optional<std::string>> find_ledger(const LedgerPlace& place);

/// The same for writing: makes folders (0700) and an empty file (0600) where they are missing.
[[nodiscard]] Result<std::string> prepare_ledger(const LedgerPlace& place);

/// What stat says of one file.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;  ///< since 1970

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

/// What stat says of a ledger: whether it may be read as a file that never changes, and later whether it did change.
struct LedgerRest {
  FileStamp file;
  FileStamp wal;            ///< zeros if there is none
  bool no_journal = false;  ///< no rows outside the file itself: no -journal, no -wal or an empty one
  bool left = false;        ///< rows in a -wal, but no -shm and no -journal: nobody has it open

  /// Last changed so long ago that a further change shows in `modified_ns`.
  [[nodiscard]] bool settled() const;

  friend bool operator==(const LedgerRest&, const LedgerRest&) = default;
};
[[nodiscard]] LedgerRest look_at_ledger(const std::string& real_path);

}  // namespace fleetledger
