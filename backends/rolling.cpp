#include "backends/rolling.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace fleetledger {
namespace {

/// Of an hour with more rows, which no sampler writes, the rest is not counted.
constexpr std::int64_t kMostRowsOfHour = 250'000;

/// Guesses how long rows stand for that do not say so, while rows are visited by time.
class Guesser {
 public:
  Guesser(const LedgerHours& ledger, Micros most) : ledger_(ledger), most_(most) {}

  Micros guess(const Sample& row) {
    const auto [known, fresh] = last_.try_emplace(row.source, row.ts);
    const auto before = fresh ? std::nullopt : std::optional(known->second);
    known->second = row.ts;
    if (row.interval) {
      return Micros{0};
    }
    return guess_interval(before ? before : ledger_.row_before(row.source, row.ts), row.ts, most_);
  }

  /// What is visited next does not follow what was visited.
  void start_over() { last_.clear(); }

 private:
  const LedgerHours& ledger_;
  const Micros most_;
  std::unordered_map<std::string, WallTime> last_;
};

using Tallies = std::map<std::string, Tally>;

Tallies tally_rows(const LedgerHours& ledger, const Stretch& stretch, Micros most_guess) {
  Tallies tallies;
  Guesser guesser(ledger, most_guess);
  std::int64_t rows = 0;
  ledger.rows(stretch, [&](const Sample& row) {
    if (++rows <= kMostRowsOfHour) {
      tallies[row.source].add(row, guesser.guess(row));
    }
  });
  return tallies;
}

void roll_day(WritableLedgerHours& ledger, WallTime day, const std::string* source) {
  std::map<std::string, Tally> days;
  ledger.rollups(Span::hour, {day, day + kDay, source},
                 [&days](const Rollup& hour) { days[hour.source].add(hour.tally); });
  for (auto& [name, tally] : days) {
    ledger.put(Span::day, {day, name, std::move(tally), true});
  }
}

/// Puts a rollup of an hour, and what follows from it.
void put_hour(WritableLedgerHours& ledger, const RolledTo& rolled, const Rollup& rollup) {
  ledger.put(Span::hour, rollup);
  if (rollup.start < rolled.days) {
    roll_day(ledger, day_of(rollup.start), &rollup.source);
  }
}

/// Some of the rows that an earlier rolling counted are gone.
bool lacks_rows(const Tally& rows, const Rollup& earlier) {
  return rows.rows < earlier.tally.rows || rows.first > earlier.tally.first;
}

/// Rolls an hour from its rows, where they are all there. `last`: they are about to be deleted.
void roll_hour(WritableLedgerHours& ledger, const RolledTo& rolled, WallTime hour, Micros most_guess, bool last) {
  for (auto& [source, tally] : tally_rows(ledger, {hour, hour + kHour}, most_guess)) {
    auto earlier = ledger.find(source, hour);
    if (earlier && !earlier->complete) {
      continue;
    }
    if (earlier && (lacks_rows(tally, *earlier) || tally == earlier->tally)) {
      if (last || tally != earlier->tally) {
        earlier->complete = false;
        ledger.put(Span::hour, *earlier);
      }
    } else {
      put_hour(ledger, rolled, {hour, source, std::move(tally), !last});
    }
  }
}

/// What of a window is visited as rows and what as rollups.
class Window {
 public:
  Window(const LedgerHours& ledger, const Stretch& window, const std::vector<WallTime>& edges, Micros most_guess,
         const WindowVisitor& visitor)
      : ledger_(ledger),
        window_(window),
        edges_(edges),
        visitor_(visitor),
        rolled_(ledger.rolled_to()),
        guesser_(ledger, most_guess) {
    if (const auto oldest = ledger.first_row(WallTime::min())) {
      oldest_hour_ = hour_of(*oldest);
    }
    for (const WallTime edge : edges) {
      const WallTime hour = hour_of(edge);
      if (hour != edge && (cut_.empty() || cut_.back() != hour)) {
        cut_.push_back(hour);
      }
    }
  }

  void visit() {
    visit_rollups();
    for (const WallTime hour : cut_) {
      if (hour >= oldest_hour_ && hour < rolled_.hours) {
        visit_rows(std::max(hour, window_.since), std::min(hour + kHour, window_.until));
      }
    }
    visit_rows(std::max({rolled_.hours, oldest_hour_, window_.since}), window_.until);
  }

 private:
  [[nodiscard]] bool is_cut(WallTime hour) const { return std::binary_search(cut_.begin(), cut_.end(), hour); }

  [[nodiscard]] bool has_edge_inside(WallTime day) const {
    const auto next = std::upper_bound(edges_.begin(), edges_.end(), day);
    return next != edges_.end() && *next < day + kDay;
  }

  void visit_rollups() {
    const auto first = ledger_.first_rollup(hour_of(window_.since));
    if (!first || *first >= window_.until) {
      return;
    }
    WallTime hours_from = *first;
    WallTime days_from = day_of(std::max(*first, window_.since));
    if (days_from < window_.since) {
      days_from += kDay;
    }
    const WallTime days_until = std::min(rolled_.days, day_of(window_.until));
    while (days_from < days_until) {
      WallTime end = days_from;
      while (end < days_until && !has_edge_inside(end)) {
        end += kDay;
      }
      if (end > days_from) {
        visit_hours(hours_from, days_from);
        ledger_.rollups(Span::day, {days_from, end, window_.source}, visitor_.rollup);
        hours_from = end;
      }
      days_from = end + kDay;
    }
    visit_hours(hours_from, window_.until);
  }

  void visit_hours(WallTime since, WallTime until) {
    if (since >= until) {
      return;
    }
    ledger_.rollups(Span::hour, {since, until, window_.source}, [this](const Rollup& rollup) {
      if (is_cut(rollup.start)) {
        if (rows_are_there(rollup)) {
          return;
        }
        if (rollup.tally.newest.ts < window_.since || rollup.tally.first >= window_.until) {
          visited_.emplace(rollup.start, rollup.source);
          return;
        }
      }
      if (rollup.start >= oldest_hour_ && (rollup.start >= rolled_.hours || is_cut(rollup.start))) {
        visited_.emplace(rollup.start, rollup.source);
      }
      visitor_.rollup(rollup);
    });
  }

  /// Others prune at any moment, and without a word: of the oldest hour the rows have to be counted.
  bool rows_are_there(const Rollup& rollup) {
    if (!rollup.complete || rollup.start != oldest_hour_) {
      return rollup.complete && rollup.start > oldest_hour_;
    }
    if (!counted_) {
      counted_.emplace();
      ledger_.rows({oldest_hour_, oldest_hour_ + kHour, window_.source}, [this](const Sample& row) {
        Tally& tally = (*counted_)[row.source];
        tally.first = tally.rows++ == 0 ? row.ts : std::min(tally.first, row.ts);
      });
    }
    const auto found = counted_->find(rollup.source);
    return found != counted_->end() && !lacks_rows(found->second, rollup);
  }

  void visit_rows(WallTime since, WallTime until) {
    if (since >= until) {
      return;
    }
    guesser_.start_over();
    ledger_.rows({since, until, window_.source}, [this](const Sample& row) {
      const Micros guess = guesser_.guess(row);
      if (visited_.empty() || !visited_.contains({hour_of(row.ts), row.source})) {
        visitor_.row(row, guess);
      }
    });
  }

  const LedgerHours& ledger_;
  const Stretch& window_;
  const std::vector<WallTime>& edges_;
  const WindowVisitor& visitor_;
  const RolledTo rolled_;
  Guesser guesser_;
  WallTime oldest_hour_ = WallTime::max();              ///< that has a row
  std::vector<WallTime> cut_;                           ///< the hours that have an edge inside
  std::optional<Tallies> counted_;                      ///< the rows of the oldest hour
  std::set<std::pair<WallTime, std::string>> visited_;  ///< what the rollup was visited of, and has rows
};

}  // namespace

WallTime newest_ts(const std::vector<Sample>& samples) {
  const auto older = [](const Sample& left, const Sample& right) { return left.ts < right.ts; };
  return std::max_element(samples.begin(), samples.end(), older)->ts;
}

std::optional<WallTime> time_of(const AgentTick& tick) {
  return tick.samples.empty() ? tick.ts : newest_ts(tick.samples);
}

void roll_hours(WritableLedgerHours& ledger, WallTime now, Micros most_guess) {
  const RolledTo before = ledger.rolled_to();
  RolledTo rolled = before;
  rolled.hours = std::min(rolled.hours, hour_of(now));  // the clock was set back
  rolled.days = std::min(rolled.days, day_of(rolled.hours));
  const WallTime due = hour_of(now - kGrace);
  for (std::int64_t rows = 0; rolled.hours < due && rows < kRowsAtOnce;) {
    const auto first = ledger.first_row(rolled.hours);
    if (!first || hour_of(*first) >= due) {
      rolled.hours = due;
      break;
    }
    const WallTime hour = hour_of(*first);
    roll_hour(ledger, rolled, hour, most_guess, false);
    rolled.hours = hour + kHour;
    ledger.rollups(Span::hour, {hour, rolled.hours}, [&rows](const Rollup& rollup) { rows += rollup.tally.rows; });
  }
  if (rolled.days + kDay <= rolled.hours) {
    const auto first = ledger.first_rollup(rolled.days);
    const WallTime day = day_of(first ? std::min(*first, rolled.hours) : rolled.hours);
    rolled.days = day;
    if (day + kDay <= rolled.hours) {
      roll_day(ledger, day, nullptr);
      rolled.days += kDay;
    }
  }
  if (rolled != before) {
    ledger.set_rolled_to(rolled);
  }
}

LateRows::LateRows(WritableLedgerHours& ledger, Micros most_guess)
    : ledger_(ledger), most_guess_(most_guess), rolled_(ledger.rolled_to()), last_(ledger.last_rollup()) {}

void LateRows::written(const Sample& row) {
  const WallTime hour = hour_of(row.ts);
  if (hour < rolled_.hours || (last_ && hour <= *last_)) {
    count(row);
  }
}

void LateRows::count(const Sample& row) {
  const WallTime hour = hour_of(row.ts);
  if (hour < rolled_.hours) {
    ledger_.rows_before_changed();
  }
  auto earlier = ledger_.find(row.source, hour);
  if (!earlier && hour >= rolled_.hours) {
    return;
  }
  if (!earlier || earlier->complete) {
    auto tallies = tally_rows(ledger_, {hour, hour + kHour, &row.source}, most_guess_);
    Tally& tally = tallies[row.source];
    if (!earlier || (tally.rows > earlier->tally.rows && tally.first <= earlier->tally.first)) {
      return put_hour(ledger_, rolled_, {hour, row.source, std::move(tally), true});
    }
    earlier->complete = false;
  }
  const auto before = row.interval ? std::nullopt : ledger_.row_before(row.source, row.ts);
  earlier->tally.add(row, guess_interval(before, row.ts, most_guess_));
  put_hour(ledger_, rolled_, *earlier);
}

std::int64_t prune_hours(WritableLedgerHours& ledger, WallTime cutoff, Micros most_guess) {
  const RolledTo rolled = ledger.rolled_to();
  const WallTime end = hour_of(cutoff);
  std::int64_t deleted = 0;
  while (deleted < kRowsAtOnce) {
    const auto first = ledger.first_row(WallTime::min());
    if (!first || *first >= end) {
      break;
    }
    const WallTime hour = hour_of(*first);
    roll_hour(ledger, rolled, hour, most_guess, true);
    deleted += ledger.remove_rows(hour + kHour, kMostRowsOfHour);
  }
  return deleted;
}

bool prune_rollups(WritableLedgerHours& ledger, WallTime cutoff) {
  const auto oldest = ledger.first_rollup(WallTime::min());
  if (!oldest || *oldest >= day_of(cutoff)) {
    return false;
  }
  const auto row = ledger.first_row(WallTime::min());
  const WallTime end = std::min(day_of(row ? std::min(cutoff, *row) : cutoff), day_of(*oldest) + kDay);
  if (*oldest >= end) {
    return false;
  }
  ledger.remove_rollups(end);
  return true;
}

void roll_hour_of(WritableLedgerHours& ledger, WallTime ts, Micros most_guess, Then then) {
  roll_hour(ledger, ledger.rolled_to(), hour_of(ts), most_guess, then == Then::prune);
}

void visit_window(const LedgerHours& ledger, const Stretch& window, const std::vector<WallTime>& edges,
                  Micros most_guess, const WindowVisitor& visitor) {
  if (window.since < window.until) {
    Window(ledger, window, edges, most_guess, visitor).visit();
  }
}

}  // namespace fleetledger
