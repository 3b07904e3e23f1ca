#include "collector/sources/ps_history.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace fleetledger {
namespace {

constexpr Micros kSameStart = std::chrono::seconds(2);
// Of what started after ps had read its clock it takes the small negative age for an enormous one: 4123168608 s.
constexpr Micros kNoAge = std::chrono::hours(50LL * 365 * 24);
constexpr Micros kResolution = std::chrono::milliseconds(20);
constexpr Micros kKeyStep = std::chrono::microseconds(1);
// Among older ages whole ticks fit nearly everywhere and tell nothing.
constexpr double kOldestByTicks = 20;
constexpr double kSpare = 1e-9;  // for what is whole but for its representation

double seconds(Micros value) { return static_cast<double>(value.count()) / 1e6; }
Micros micros(double value) { return Micros{std::llround(value * 1e6)}; }
double on_boot_clock(BootTime time) { return seconds(time.time_since_epoch()); }

bool share_known(const PsCpu& cpu) { return cpu.share_high > cpu.share_low; }

}  // namespace

PsHistory::Range PsHistory::Range::operator&(Range other) const {
  return {.low = std::max(low, other.low), .high = std::min(high, other.high)};
}

double PsHistory::tick() const { return seconds(own_.tick); }

/// The moment to which the ages of this look count, as ps cut it off to whole ticks.
PsHistory::Range PsHistory::moment_of(const PsLook& look, const PsRow& own_row) const {
  const Range ran{.low = on_boot_clock(look.boot_started) - tick(), .high = on_boot_clock(look.boot_ended)};
  if (!own_.start) {
    return ran;
  }
  const double whole = on_boot_clock(*own_.start) + seconds(own_row.elapsed);
  const Range by_our_age{.low = whole, .high = whole + 1 - tick()};
  const auto both = ran & by_our_age;
  // If ps counts ages by another clock than ours, its own is the one that its rows share.
  return both.empty() ? by_our_age : both;
}

/// What one row alone says of the age of its process.
PsHistory::Range PsHistory::ages(const PsRow& row) const {
  const Range whole{.low = seconds(row.elapsed), .high = seconds(row.elapsed) + 1 - tick()};
  Range age = whole;
  for (const auto& cpu : {row.own, row.with_reaped}) {
    if (share_known(cpu)) {
      age.low = std::max(age.low, seconds(cpu.at_least) / cpu.share_high);
    }
    if (cpu.share_low > 0) {
      age.low = std::max(age.low, tick());  // at age 0 there is no share
      age.high = std::min(age.high, (seconds(cpu.at_least) + 1 - tick()) / cpu.share_low);
    }
  }
  return age.empty() ? whole : age;
}

/// The ages for which both printed shares are whole numbers of ticks of CPU time: within 20 s of the start few.
PsHistory::Range PsHistory::ages_of_whole_ticks(const PsRow& row, Range age) const {
  if (age.empty() || age.high > kOldestByTicks) {
    return age;
  }
  const auto fits = [&](const PsCpu& cpu, double ticks) {
    const double least = seconds(cpu.at_least) / tick();
    const double used = std::max(std::ceil(cpu.share_low * ticks), least);
    return !share_known(cpu) || (used <= cpu.share_high * ticks && used < least + 1 / tick() - kSpare);
  };
  Range fitting{.low = age.high, .high = age.low};
  for (double ticks = std::ceil(age.low / tick() - kSpare); ticks * tick() <= age.high + kSpare; ++ticks) {
    if (fits(row.own, ticks) && fits(row.with_reaped, ticks)) {
      fitting.low = std::min(fitting.low, ticks * tick());
      fitting.high = std::max(fitting.high, ticks * tick());
    }
  }
  return fitting.empty() ? age : fitting;
}

/// Share x age, kept inside the whole second that was printed and what age and share allow, in whole ticks; and no more
/// than the resolution above what is certain. What is read too low is seen at a later look, or when the process is
/// waited for. What is read too high may find no room in its parent's reaped time, and is charged for good then.
PsHistory::Total PsHistory::total(const PsCpu& cpu, Range age, double age_likely, Micros floor) const {
  if (!share_known(cpu)) {
    return {std::max(cpu.at_least, floor), Micros{0}};
  }
  const Range second{.low = seconds(cpu.at_least), .high = seconds(cpu.at_least) + 1 - tick()};
  auto range = second & Range{.low = cpu.share_low * age.low, .high = cpu.share_high * age.high};
  if (range.empty()) {
    range = second;
  }
  const double certain = std::ceil(range.low / tick() - kSpare) * tick();
  const double likely = std::clamp((cpu.share_low + cpu.share_high) / 2 * age_likely, range.low, range.high);
  const double value = std::min(likely, certain + seconds(kResolution));
  const auto read = std::max(micros(std::round(value / tick()) * tick()), floor);
  return {read, std::max(micros(std::floor(range.high / tick() + kSpare) * tick()) - read, Micros{0})};
}

PsHistory::Known PsHistory::read(const PsRow& row, Range now, double now_likely, const Known* before) const {
  auto age = ages(row);
  Range start{.low = now.low - age.high, .high = now.high - age.low};
  const auto keep_if_possible = [](Range& range, Range bounds) {
    if (const auto narrowed = range & bounds; !narrowed.empty()) {
      range = narrowed;
    }
  };
  std::optional<ProcessKey> taken;  // the key of another process that had this pid and nearly this start
  if (before != nullptr && std::abs(start.middle() - on_boot_clock(before->key.start)) > seconds(kSameStart)) {
    before = nullptr;
  } else if (before != nullptr && row.with_reaped.at_least < before->with_reaped_floor) {
    taken = before->key;  // totals never fall
    before = nullptr;
  }
  if (before != nullptr) {
    keep_if_possible(start, before->start);
  } else if (last_moment_) {
    keep_if_possible(start, {.low = last_moment_->low, .high = now.high});  // or the last look would have shown it
  }
  keep_if_possible(age, {.low = now.low - start.high, .high = now.high - start.low});
  age = ages_of_whole_ticks(row, age);
  keep_if_possible(start, {.low = now.low - age.high, .high = now.high - age.low});

  Known known;
  if (before != nullptr) {
    known.key = before->key;
  } else if (taken) {
    known.key = {taken->pid, taken->start + kKeyStep};
  } else {
    known.key = {row.pid, BootTime{micros(start.middle())}};
  }
  known.start = start;
  known.own_floor = row.own.at_least;
  known.with_reaped_floor = row.with_reaped.at_least;

  const double age_likely = std::clamp(now_likely - start.middle(), age.low, age.high);
  const auto all = total(row.with_reaped, age, age_likely, before != nullptr ? before->with_reaped : Micros{0});
  known.with_reaped = all.value;
  known.doubt = all.doubt;
  if (share_known(row.own) || row.own.share_low <= 0) {
    const auto own = total(row.own, age, age_likely, before != nullptr ? before->own : Micros{0});
    known.own = own.value;
    known.own_doubt = own.doubt;
  } else {
    // Its share is above what ps shows: what its children had left to it when last seen is taken off.
    const auto reaped = before != nullptr ? before->with_reaped - before->own : Micros{0};
    const auto most = row.own.at_least + std::chrono::seconds(1) - own_.tick;
    known.own = std::clamp(known.with_reaped - reaped, row.own.at_least, most);
    known.own = std::max(known.own, before != nullptr ? before->own : Micros{0});
    known.own_doubt = std::max(most - known.own, Micros{0});
  }
  known.own = std::min(known.own, known.with_reaped);
  return known;
}

/// One that the last look had, and that was there before ps began and still is; `look` is sorted.
std::optional<Pid> PsHistory::missing_from(const PsLook& look) const {
  if (!start_of_) {
    return std::nullopt;
  }
  auto row = look.rows.cbegin();
  for (const auto& known : known_) {
    while (row != look.rows.cend() && row->pid < known.key.pid) {
      ++row;
    }
    if (row != look.rows.cend() && row->pid == known.key.pid) {
      continue;
    }
    if (const auto start = start_of_(known.key.pid); start && *start + own_.tick < look.boot_started) {
      return known.key.pid;
    }
  }
  return std::nullopt;
}

Result<ProcessTable> PsHistory::take(PsLook look) {
  const auto by_pid = [](const PsRow& left, const PsRow& right) { return left.pid < right.pid; };
  if (!std::is_sorted(look.rows.begin(), look.rows.end(), by_pid)) {
    std::stable_sort(look.rows.begin(), look.rows.end(), by_pid);
  }
  PsRow ourselves;
  ourselves.pid = own_.pid;
  const auto own_row = std::lower_bound(look.rows.begin(), look.rows.end(), ourselves, by_pid);
  if (own_row == look.rows.end() || own_row->pid != own_.pid) {
    return fail("read the output of ps: our own process " + std::to_string(own_.pid) + " is not in it");
  }
  if (const auto missing = missing_from(look)) {
    return fail("read the output of ps: it breaks off: process " + std::to_string(*missing) +
                " is not in it, and is still there");
  }
  const auto now = moment_of(look, *own_row);
  for (auto& row : look.rows) {
    if (row.elapsed > kNoAge) {
      row.elapsed = Micros{0};
    }
  }
  // ps asks for the time after it has been loaded and before it goes through the processes.
  const double now_likely = now.low + (now.high - now.low) / 4;

  std::vector<Known> known;
  std::vector<ProcessReading> readings;
  known.reserve(look.rows.size());
  readings.reserve(look.rows.size());
  auto before = known_.cbegin();
  for (auto row = look.rows.cbegin(); row != look.rows.cend(); ++row) {
    if (const auto next = std::next(row); next != look.rows.cend() && next->pid == row->pid) {
      continue;  // of two rows with one pid the later stays
    }
    while (before != known_.cend() && before->key.pid < row->pid) {
      ++before;
    }
    const bool seen = before != known_.cend() && before->key.pid == row->pid;
    known.push_back(read(*row, now, now_likely, seen ? &*before : nullptr));
    ProcessReading reading;
    reading.key = known.back().key;
    reading.parent = row->parent;
    reading.owner = row->owner;
    reading.own = CpuTotal{known.back().own};
    reading.with_reaped = CpuTotal{known.back().with_reaped};
    reading.own_doubt = known.back().own_doubt;
    reading.doubt = known.back().doubt;
    reading.resident = row->zombie ? Bytes{} : row->resident;
    reading.zombie = row->zombie;
    reading.name = row->name;
    readings.push_back(reading);
  }
  known_ = std::move(known);
  last_moment_ = now;
  const ProcessTable::Moment moment{.taken = look.started + (look.ended - look.started) / 2,
                                    .boot = look.boot_started + (look.boot_ended - look.boot_started) / 2,
                                    .cpu_resolution = kResolution,
                                    .start_slack = kSameStart};
  return ProcessTable(moment, std::move(readings));
}

}  // namespace fleetledger
