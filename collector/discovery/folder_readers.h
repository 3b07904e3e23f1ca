#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace fleetledger {

/// Looks into places whose disks may hang, on threads of its own. A place that keeps its thread waiting is left to that
/// thread, another one goes on with the next places, and nothing more is begun there until the thread has come back.
/// So there is at most one thread for each place that hangs, and one more. One call of run() at a time.
class FolderReaders {
 public:
  static constexpr std::size_t kMostHanging = 6;  ///< with more of them nothing is begun anywhere until one comes back
  static constexpr std::chrono::milliseconds kPassOn{100};  ///< then another thread begins with the next place
  static constexpr int kPatience = 20;                      ///< times kPassOn: then the place hangs

  FolderReaders();
  /// Waits for no place that hangs.
  ~FolderReaders();
  FolderReaders(const FolderReaders&) = delete;
  FolderReaders& operator=(const FolderReaders&) = delete;

  enum class Outcome {
    done,
    hangs,     ///< look() may still run: what it writes is not to be touched until hanging() names the place no more
    left_out,  ///< too many others hang
  };
  /// Calls `look(i)` for each of `places` (each is there once), and returns when each was looked at or is given up.
  /// `look` may run on after this object is gone, and has to own all that it refers to.
  [[nodiscard]] std::vector<Outcome> run(std::vector<std::string> places, std::function<void(std::size_t)> look);

  /// The places where a thread waits now.
  [[nodiscard]] std::set<std::string> hanging() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace fleetledger
