#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backends/rollup.h"
#include "core/sample.h"
#include "core/units.h"

// When hours are rolled, and how rows and rollups make up a window. All backends share it; each says how its rows and
// rollups are reached.

namespace fleetledger {

enum class Span { hour, day };

/// How far a ledger is rolled.
struct RolledTo {
  WallTime hours{};  ///< the hours before have a rollup wherever they have a row
  WallTime days{};   ///< each day before has one that is the sum of its hours'; later ones count for nothing

  friend bool operator==(const RolledTo&, const RolledTo&) = default;
};

/// A half-open stretch of time, of one source or of all.
struct Stretch {
  WallTime since{};
  WallTime until{};
  const std::string* source = nullptr;
};

/// A ledger's rows and rollups, for reading.
class LedgerHours {
 public:
  virtual ~LedgerHours() = default;

  [[nodiscard]] virtual RolledTo rolled_to() const = 0;
  /// When the first row at or after `from` is; nothing: there is none.
  [[nodiscard]] virtual std::optional<WallTime> first_row(WallTime from) const = 0;
  /// The newest row of a source before `ts`, or of its rollups of earlier hours.
  [[nodiscard]] virtual std::optional<WallTime> row_before(const std::string& source, WallTime ts) const = 0;
  [[nodiscard]] virtual std::optional<WallTime> first_rollup(WallTime from) const = 0;  ///< likewise, of an hour
  [[nodiscard]] virtual std::optional<WallTime> last_rollup() const = 0;
  /// By time.
  virtual void rows(const Stretch& stretch, const std::function<void(const Sample&)>& visit) const = 0;
  /// Those that begin in the stretch, by time.
  virtual void rollups(Span span, const Stretch& stretch, const std::function<void(const Rollup&)>& visit) const = 0;
};

/// The same for writing; what is written in one transaction stays or goes as a whole.
class WritableLedgerHours : public LedgerHours {
 public:
  virtual void set_rolled_to(const RolledTo& rolled) = 0;
  virtual void rows_before_changed() = 0;  ///< there is another row, or one less, in an hour that was rolled before
  [[nodiscard]] virtual std::optional<Rollup> find(const std::string& source, WallTime hour) const = 0;
  virtual void put(Span span, const Rollup& rollup) = 0;  ///< in the place of the one that is there
  /// Deletes rows before `end`, at most `most` of them, oldest first; how many went.
  virtual std::int64_t remove_rows(WallTime end, std::int64_t most) = 0;
  virtual void remove_rollups(WallTime end) = 0;  ///< of hours and of days that begin before
};

/// How long an hour is given to be written whole after it is over.
inline constexpr std::chrono::minutes kGrace{5};

/// Rows are pruned until so many went, then the rest is left to the next time; hours are rolled likewise.
inline constexpr std::int64_t kRowsAtOnce = 5000;

/// The time of an append: when the newest of its samples was taken. There has to be one.
WallTime newest_ts(const std::vector<Sample>& samples);
/// By which hours are over for what is written with a tick; nothing if it does not say.
std::optional<WallTime> time_of(const AgentTick& tick);

/// Rolls the hours that were over five minutes before `now`, the oldest first. `most_guess`: see guess_interval.
void roll_hours(WritableLedgerHours& ledger, WallTime now, Micros most_guess);

/// Rows of hours that are rolled already, while they are written.
class LateRows {
 public:
  LateRows(WritableLedgerHours& ledger, Micros most_guess);

  /// To be called after each row that is written: if its hour is rolled, the rollup counts it from now on.
  void written(const Sample& row);

 private:
  void count(const Sample& row);

  WritableLedgerHours& ledger_;
  const Micros most_guess_;
  const RolledTo rolled_;
  const std::optional<WallTime> last_;
};

/// Rolls the hours before that of `cutoff` a second time and deletes their rows, the oldest first; how many went. Below
/// kRowsAtOnce: it is done.
std::int64_t prune_hours(WritableLedgerHours& ledger, WallTime cutoff, Micros most_guess);

/// Deletes the rollups of days before that of `cutoff` that have no rows any more: of one day, the oldest. Whether
/// there was one: then there may be another.
bool prune_rollups(WritableLedgerHours& ledger, WallTime cutoff);

enum class Then {
  prune,         ///< all that is deleted of the hour from now on is known to be in its rollup
  prune_a_part,  ///< more rows of the hour may come
};
/// Rolls the hour in which `ts` lies, because rows of it are about to be deleted before their time.
void roll_hour_of(WritableLedgerHours& ledger, WallTime ts, Micros most_guess, Then then);

/// What a window is made of, in no order: each row that belongs to it once, by itself or in a rollup.
struct WindowVisitor {
  std::function<void(const Sample&, Micros guess)> row;
  std::function<void(const Rollup&)> rollup;
};

/// `edges`: sorted, the ends of the window and where it is cut; what is visited lies between two of them, but for the
/// rollups of hours whose rows are not all there any more.
void visit_window(const LedgerHours& ledger, const Stretch& window, const std::vector<WallTime>& edges,
                  Micros most_guess, const WindowVisitor& visitor);

}  // namespace fleetledger
