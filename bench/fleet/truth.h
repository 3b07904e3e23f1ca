#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fleetledger::fleet {

// What a load has really used, told by the load itself from the kernel's clocks.
//
// Included: the CPU time of every process of the load from its fork on (exec and loader too), whether somebody waits
// for it or not: each reads its own CLOCK_PROCESS_CPUTIME_ID and adds what came since its last reading; for children
// that are waited for, the remainder up to the kernel's figure at their reaping is added then. Resident memory is the
// sum over the load's living processes, pages shared between them counted once for each, as ps counts them.
// Not included: what a process that nobody waits for uses after its last reading (its exit: a fraction of a
// millisecond), up to 2 ms of a process that was killed, and the last row's own writing. There is no shell between tmux
// and a load: the pane's process is the load itself.

/// The shared account of one load: a mapped file to which all its processes add. Copies by fork share it.
class TruthAccount {
 public:
  /// Makes the file with an empty account; an old one of this name is replaced.
  static Result<TruthAccount> create(const std::string& path);
  /// Opens the account of a load, running or ended.
  static Result<TruthAccount> open(const std::string& path);

  TruthAccount(TruthAccount&& other) noexcept;
  TruthAccount& operator=(TruthAccount&& other) noexcept;
  ~TruthAccount();

  [[nodiscard]] CpuTotal cpu() const;
  [[nodiscard]] std::int64_t cpu_nanos() const;
  [[nodiscard]] Bytes resident() const;
  void add_cpu_nanos(std::int64_t nanos);
  void add_resident(std::int64_t bytes);

 private:
  struct Page;
  explicit TruthAccount(Page* page) : page_(page) {}
  Page* page_ = nullptr;
};

/// One process's entries in its load's account. Make it right after the fork; the process has one at a time.
class Meter {
 public:
  explicit Meter(TruthAccount& account) : account_(account) {}

  void publish_cpu();  ///< adds the CPU time since the last call
  void publish_resident();
  void withdraw_resident();
  void finish();  ///< the last entries of a process: its CPU time, and its memory out again

  [[nodiscard]] std::int64_t cpu_nanos() const { return published_nanos_; }

 private:
  TruthAccount& account_;
  std::int64_t published_nanos_ = 0;
  std::int64_t published_bytes_ = 0;
};

/// One row of a load's truth: totals since its start.
struct TruthPoint {
  MonotonicTime mono;
  WallTime wall;
  CpuTotal cpu;
  Bytes resident;
};

/// Appends a row as of now to an open file: `{"t_mono_us":…,"t_wall_ms":…,"cpu_us":…,"rss_bytes":…}`.
void write_truth_row(int fd, const TruthAccount& account);

/// The rows of a truth file in their order. A half-written last line is left out.
Result<std::vector<TruthPoint>> read_truth(const std::string& path);

/// The load's total at an instant, interpolated between the rows around it; absent before the first row and after the
/// last one (after the end of a load its total stays that of the last row: ask for that).
std::optional<CpuTotal> cpu_at(const std::vector<TruthPoint>& rows, MonotonicTime when);
std::optional<CpuTotal> cpu_at(const std::vector<TruthPoint>& rows, WallTime when);

/// CLOCK_PROCESS_CPUTIME_ID of this process.
std::int64_t own_cpu_nanos();

}  // namespace fleetledger::fleet
