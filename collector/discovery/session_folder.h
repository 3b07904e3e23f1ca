#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/discovery/safe_file.h"
#include "core/agent.h"
#include "core/units.h"

namespace fleetledger {

/// The session files of one agent. A live one is looked at each time, an ended one only when the folder is listed: by
/// then a number of eight bytes says that it is still the file that was found ended.
class SessionFolder {
 public:
  static constexpr std::size_t kMostFiles = 10'000;

  /// Looks at the live sessions, and at the whole folder if `list` asks for it or an entry came or went. A file that
  /// cannot be read leaves the session as it was known. `instar`: the agent's, or why it cannot be opened.
  /// Whether anything below is different from before.
  bool refresh(const Result<std::optional<Folder>>& instar, bool list, Uid user, WallTime now);

  /// Which folder they are in.
  [[nodiscard]] const FolderIdentity& which() const { return which_; }

  /// A file was young or could not be judged: what it says now is known at the next refresh.
  [[nodiscard]] bool unsettled() const;

  /// By id, ghosts included.
  [[nodiscard]] std::vector<Session> live() const;
  [[nodiscard]] std::vector<std::string> remarks() const;

 private:
  /// A file that is looked at each time: a live session, a young file, or one that cannot be read.
  struct Tracked {
    FileMark mark;
    std::optional<Session> session;
    std::string problem;
  };
  enum class Fate { keep, ended, gone };

  Fate look(const Folder& sessions, const std::string& name, const FileLimits& limits, WallTime now, Tracked& file);
  Fate read(const std::string& name, const std::string& text, Tracked& file);
  void list_files(const Folder& sessions, const FileIdentity& identity, const FileLimits& limits, WallTime now);
  void set_problem(std::string problem);

  std::map<std::string, Tracked> tracked_;  ///< by file name
  std::vector<std::uint64_t> ended_;        ///< fingerprints of name and identity, sorted
  FolderIdentity which_;
  FileMark mark_;         ///< of the folder, when it was listed
  std::string problem_;   ///< with the folder
  bool changed_ = false;  ///< during this refresh
};

}  // namespace fleetledger
