#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "backends/rolling.h"
#include "backends/sqlite/ledger_place.h"
#include "core/result.h"
#include "core/sample.h"

namespace fleetledger {

/// What the rolling of hours needs to know.
struct RollAt {
  std::optional<WallTime> now;  ///< nothing: no hour is rolled for being over
  Micros most_guess{0};         ///< see guess_interval
};

/// An open ledger that can be written; its statements are prepared once. For one thread at a time.
class LedgerWriter {
 public:
  /// Makes what is missing of folder, file and schema.
  static Result<std::unique_ptr<LedgerWriter>> open(const LedgerPlace& place, std::chrono::milliseconds limit);
  LedgerWriter(const LedgerWriter&) = delete;
  LedgerWriter& operator=(const LedgerWriter&) = delete;
  ~LedgerWriter();

  /// The ledger was deleted or replaced since it was opened: what is written here would be lost.
  [[nodiscard]] bool moved() const;
  /// To be called before a moved one goes: writes to its file, wherever that is, what waits in the -wal. That stays
  /// behind, and SQLite would take it for the -wal of whatever is at the path now.
  void leave_moved();

  /// Frees the pages that SQLite keeps for the next time, up to 256 KiB; they are then read again, from the system's
  /// cache, which costs some microseconds. Hundreds of ledgers are open at once, each for one transaction a minute.
  void let_go_of_memory();

  /// What came of an append.
  struct Appended {
    std::optional<WallTime> foreign;        ///< the newest row of another sampler, because of which nothing was written
    std::optional<WallTime> cut_to;         ///< see LedgerStanding
    bool more_to_prune = false;             ///< likewise
    std::vector<std::string> new_events{};  ///< likewise
  };

  /// As LedgerStore::append and prune_older_than, in this place.
  Result<Appended> append(const AgentTick& tick, const RollAt& roll);
  /// The same unless there is a row of another sampler with since <= ts <= until: then nothing is written. Nothing
  /// comes between the look and the writing.
  Result<Appended> append_unless_foreign(const AgentTick& tick, const RollAt& roll, WallTime since, WallTime until);
  /// Writes samples as they are, whole or not at all; those whose (source, ts) is there already are left out.
  Result<void> copy(const std::vector<Sample>& samples);
  /// Likewise rollups of hours.
  Result<void> copy(const std::vector<Rollup>& rollups);
  /// Likewise recoveries and marks, of which those that are there already are replaced.
  Result<void> copy_notes(const AgentTick& notes);
  /// The mark of LedgerHomes. One that is there stays as it is.
  Result<void> mark_central(WallTime since);
  Result<std::int64_t> prune_older_than(WallTime cutoff, Micros most_guess);

 private:
  struct Parts;
  explicit LedgerWriter(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace fleetledger
