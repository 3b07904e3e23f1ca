#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collector/discovery/watched_folder.h"
#include "core/process.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

// Reading of files that somebody else made. No link is followed, nothing blocks but the disk, nothing is read whole
// that is longer than the caller allows.

/// Differs whenever a file was written, replaced, moved or had its mode changed (within the grain of the clock).
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified_ns = 0;  ///< since 1970
  std::int64_t changed_ns = 0;   ///< likewise; cannot be set by the file's owner

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// Whether the file changed so shortly before `now` that a further change might not show in its times.
[[nodiscard]] bool is_young(const FileIdentity& file, WallTime now);

struct FileText {
  std::string text;
  FileIdentity identity;  ///< from before it was read: a change in the meantime shows at the next stat
};

struct FileLimits {
  std::size_t size = 0;  ///< a longer file is refused
  Uid user = 0;          ///< it must belong to this user or to root
};

/// An open regular file, read piece by piece.
class OpenFile {
 public:
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&& other) = delete;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  /// As it was when it was opened.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }
  /// How many bytes it has there, as many as fit into `into`; 0 at its end.
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) const;

 private:
  friend class Folder;
  OpenFile(int descriptor, const FileIdentity& identity) : descriptor_(descriptor), identity_(identity) {}

  int descriptor_ = -1;
  FileIdentity identity_;
};

/// An open folder. Errors say why, without the name of what was asked for: Error::Kind::busy if it may work at the next
/// try (no descriptors left, an I/O error), unavailable if it is refused as it is (a link, a FIFO, somebody else's, too
/// long, no permission).
class Folder {
 public:
  /// `path` is absolute and real: no part of it may be a link. Nothing if it does not exist.
  [[nodiscard]] static Result<std::optional<Folder>> open(const std::string& path);
  /// Walks down `path` ("a/b"), of which no part may be a link. Nothing if a part does not exist.
  [[nodiscard]] Result<std::optional<Folder>> below(std::string_view path) const;

  ~Folder();
  Folder(Folder&& other) noexcept;
  Folder& operator=(Folder&& other) noexcept;
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Whether it is on a disk of this host; false where that cannot be told.
  [[nodiscard]] bool is_local() const;
  /// The folder's own identity, as that of a file: it differs whenever an entry came or went.
  [[nodiscard]] Result<FileIdentity> stat() const;
  /// Identity of whatever has this name (a link is not followed); nothing if there is nothing.
  [[nodiscard]] Result<std::optional<FileIdentity>> stat(const std::string& name) const;
  /// Opens a file, of any length up to the limit; nothing if there is none.
  [[nodiscard]] Result<std::optional<OpenFile>> open_file(const std::string& name, const FileLimits& limits) const;
  /// The whole file; nothing if there is none.
  [[nodiscard]] Result<std::optional<FileText>> read(const std::string& name, const FileLimits& limits) const;

  struct Listing {
    std::vector<std::string> names;
    bool cut = false;  ///< there are more
  };
  /// Names that end in `ending`, at most `most` of them, in no order.
  [[nodiscard]] Result<Listing> list(std::string_view ending, std::size_t most) const;
  [[nodiscard]] Result<Listing> list(const std::function<bool(std::string_view name)>& wanted, std::size_t most) const;

 private:
  explicit Folder(int descriptor) : descriptor_(descriptor) {}

  int descriptor_ = -1;
};

/// The folder `.instar` of a home or an agent, `path` being as for Folder::open; nothing if there is none.
[[nodiscard]] Result<std::optional<Folder>> open_instar(const std::string& path);

/// Which folder was opened so; whether that is another one than `known` said. What it is on is asked only then.
bool identify(const Result<std::optional<Folder>>& folder, FolderIdentity& known);

/// What is remembered of a file between two looks at it.
struct FileMark {
  std::optional<FileIdentity> seen;  ///< as it was when it was read or refused
  bool again = false;  ///< it was young, or reading it failed in passing: to be read whatever it looks like
};

struct FileLook {
  enum class Outcome { unchanged, missing, read, failed };

  Outcome outcome = Outcome::unchanged;
  std::string text;    ///< read
  std::string reason;  ///< failed: why
};

/// Reads a file if it is not as `mark` remembers it, and marks how it is now.
[[nodiscard]] FileLook look_at_file(const Folder& folder, const std::string& name, const FileLimits& limits,
                                    WallTime now, FileMark& mark);

}  // namespace fleetledger
