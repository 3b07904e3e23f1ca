#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "collector/sources/ps_parser.h"
#include "core/process_table.h"
#include "core/result.h"

namespace fleetledger {

/// One run of ps: what it printed, and what we know of the moment at which it looked.
struct PsLook {
  std::vector<PsRow> rows;
  MonotonicTime started{};  ///< when ps was running; its ages count to a moment between this and `ended`
  MonotonicTime ended{};
  BootTime boot_started{};  ///< the same two moments on the time line of process starts
  BootTime boot_ended{};
};

/// Who we are, for the row that anchors all others in time.
struct OwnProcess {
  Pid pid = 0;
  std::optional<BootTime> start;  ///< what the kernel says; nothing where only ps knows (macOS)
  Micros tick{10'000};            ///< how finely the kernel counts CPU time and starts
};

/// When the kernel says that the process with this pid started; nothing: there is none, or it does not say.
using StartOf = std::function<std::optional<BootTime>(Pid)>;

/// Turns runs of ps into tables: gives processes keys that stay, and refines CPU times below the second. Remembers of
/// each live process its key, the bounds of its start and its last totals; never more.
///
/// Output that breaks off right behind a line looks whole, and what is not in it would be taken for gone. So the kernel
/// is asked about each process of the last look that is not in this one: any that was there before ps began and still
/// is shows that rows are missing.
///
/// How good: ps says whole seconds (s) and a share (u, to 0.001 %) of an age that it says in whole seconds as well. So
/// a total is u x age where that lies inside s, and everything that narrows the age is used: that ages and totals are
/// whole ticks (within 20 s of the start), that s bounds age by s / u, what earlier looks said of the same start, and
/// that the look before would have shown it. Measured on simulated looks 2 s apart, median and 90 % of the error of
/// one tick's usage: 0 and 0.01 s up to ten minutes of age, 0.01 and 0.03 s at an hour, where the step of the share is
/// 0.036 s; 0.2 and 0.5 s at a day, where it is 0.9 s and little more than s is left. Above 99 % ps caps the share and
/// %cpu stands in, without decimals from 100 % on: 0.15 and 0.5 s for processes busy on several cores at once.
/// No reading is off by a second, and errors do not add up: what one look misses the next has. Each says by how much it
/// may be too small.
class PsHistory {
 public:
  /// `start_of`: empty where the kernel cannot be asked.
  explicit PsHistory(OwnProcess own, StartOf start_of = {}) : own_(own), start_of_(std::move(start_of)) {}

  /// The table of one look. Fails if our own process is not in it, or another that is still there; then nothing was
  /// changed.
  [[nodiscard]] Result<ProcessTable> take(PsLook look);

  /// How many processes are remembered: those of the last look.
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  /// Bounds in seconds; empty when low > high.
  struct Range {
    double low = 0;
    double high = 0;
    [[nodiscard]] bool empty() const { return low > high; }
    [[nodiscard]] double middle() const { return (low + high) / 2; }
    [[nodiscard]] Range operator&(Range other) const;
  };
  struct Known {
    ProcessKey key;
    Range start;  ///< boot clock
    Micros own_floor{};
    Micros own{};
    Micros with_reaped_floor{};
    Micros with_reaped{};
    Micros own_doubt{};  ///< see ProcessReading
    Micros doubt{};      ///< likewise
  };
  struct Total {
    Micros value{};
    Micros doubt{};
  };

  [[nodiscard]] Range moment_of(const PsLook& look, const PsRow& own_row) const;
  [[nodiscard]] Known read(const PsRow& row, Range now, double now_likely, const Known* before) const;
  [[nodiscard]] Range ages(const PsRow& row) const;
  [[nodiscard]] Range ages_of_whole_ticks(const PsRow& row, Range age) const;
  [[nodiscard]] Total total(const PsCpu& cpu, Range age, double age_likely, Micros floor) const;
  [[nodiscard]] double tick() const;
  [[nodiscard]] std::optional<Pid> missing_from(const PsLook& look) const;

  OwnProcess own_;
  StartOf start_of_;
  std::vector<Known> known_;  ///< in the order of pids
  std::optional<Range> last_moment_;
};

}  // namespace fleetledger
