#include "bench/harness/accuracy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <map>

#include "bench/harness/fleet_description.h"

namespace fleetledger::bench {
namespace {

constexpr std::array kJudgedLoads{"flat", "deep", "long"};
constexpr const char* kAggregate = "aggregate";

double seconds(Micros time) { return static_cast<double>(time.count()) / 1e6; }
double seconds_between(WallTime from, WallTime to) { return std::chrono::duration<double>(to - from).count(); }

/// Where the ticks begin: the baseline look is not among them, but the first rows say how long ago it was. By a ps that
/// knows whole seconds only they may have used nothing, which says no time: then it is as long ago as the next tick is
/// off.
Result<WallTime> baseline_of(const std::vector<Tick>& ticks) {
  const auto& first = ticks.front();
  Micros longest{};
  for (const auto& row : first.rows) longest = std::max(longest, row.interval());
  if (longest != Micros{}) return first.ts - std::chrono::round<std::chrono::milliseconds>(longest);
  if (ticks.size() == 1) return fail("compare the ticks: there is one alone, in which no source used anything");
  return first.ts - (ticks[1].ts - first.ts);
}

/// What a source has used in all at one instant.
struct Point {
  WallTime when;
  Comparison total;
};
using Course = std::vector<Point>;

/// A load's totals at the baseline and at every tick that says something of its agent.
Result<Course> course_of(const LoadTruth& load, const std::vector<Tick>& ticks, WallTime baseline) {
  const auto start = fleet::cpu_at(load.rows, baseline);
  if (!start) return fail("compare " + load.source + ": its truth does not reach back to the baseline");
  Course course{{baseline, {}}};
  for (const auto& tick : ticks) {
    bool said = false;
    double measured = course.back().total.measured;
    for (const auto& row : tick.rows) {
      if (row.agent != load.agent) continue;
      said = true;
      if (row.source == load.source) measured += seconds(row.cpu);
    }
    if (!said) continue;
    const auto truth = fleet::cpu_at(load.rows, tick.ts);
    if (!truth) return fail("compare " + load.source + ": its truth ends before the ticks do");
    course.push_back({tick.ts, {(*truth - *start).seconds(), measured}});
  }
  return course;
}

Comparison between(const Point& from, const Point& to) {
  return {to.total.truth - from.total.truth, to.total.measured - from.total.measured};
}

/// The first point that is a window's length after `from`; the end if the run was shorter.
Course::const_iterator window_end(const Course& course, Course::const_iterator from) {
  // Ticks come some milliseconds early or late.
  return std::find_if(from, course.end(), [&](const Point& point) {
    return point.when - from->when >= kWindow - std::chrono::milliseconds{500};
  });
}

std::optional<Comparison> first_window(const Course& course) {
  const auto to = window_end(course, course.begin());
  if (to == course.end() || std::next(to) == course.end()) return std::nullopt;
  return between(course.front(), *to);
}

std::optional<Comparison> worst_window(const Course& course) {
  std::optional<Comparison> worst;
  for (auto from = course.begin(); from != course.end(); ++from) {
    const auto to = window_end(course, from);
    if (to == course.end()) break;
    const auto window = between(*from, *to);
    if (!worst || window.share_of_allowed() > worst->share_of_allowed()) worst = window;
  }
  return worst;
}

LoadAccuracy accuracy_of(const LoadTruth& load, const Course& course) {
  LoadAccuracy result{.agent = load.agent, .source = load.source, .load = load.load};
  result.judged = std::find(kJudgedLoads.begin(), kJudgedLoads.end(), load.load) != kJudgedLoads.end();
  result.whole = course.back().total;
  result.first_window = first_window(course);
  result.worst_window = worst_window(course);
  std::vector<double> errors;
  for (std::size_t i = 1; i < course.size(); ++i) {
    errors.push_back(std::abs(between(course[i - 1], course[i]).error()));
  }
  result.tick_error = spread_of(std::move(errors));
  return result;
}

/// In how many ticks an agent's sources do not sum up to its aggregate, to the microsecond.
std::size_t count_uneven(const std::vector<Tick>& ticks) {
  std::size_t uneven = 0;
  for (const auto& tick : ticks) {
    std::map<std::string, Micros> rest;
    for (const auto& row : tick.rows) rest[row.agent] += row.source == kAggregate ? -row.cpu : row.cpu;
    if (std::any_of(rest.begin(), rest.end(), [](const auto& entry) { return entry.second != Micros{}; })) ++uneven;
  }
  return uneven;
}

double highest_excess(const std::vector<Tick>& ticks, int cores) {
  double highest = -1e9;
  for (const auto& tick : ticks) {
    for (const auto& row : tick.rows) {
      highest = std::max(highest, seconds(row.cpu) - cores * seconds(row.interval()));
    }
  }
  return highest;
}

double measured_in_all(const std::vector<Tick>& ticks) {
  Micros sum{};
  for (const auto& tick : ticks) {
    for (const auto& row : tick.rows) sum += row.source == kAggregate ? row.cpu : Micros{};
  }
  return seconds(sum);
}

/// Of one load in one stretch, with the bars for /proc.
void judge_procfs(const LoadAccuracy& load, const char* stretch, const Comparison& found,
                  std::vector<std::string>& missed) {
  const auto miss = [&](const char* what) {
    missed.push_back(fmt::format("{} ({}): {:.3f} s measured, {:.3f} s true: {}", load.load, stretch, found.measured,
                                 found.truth, what));
  };
  if (load.judged) {
    const bool is_long = load.load == "long";
    if (found.measured < (is_long ? 0.95 : 0.99) * found.truth) miss("too little");
    if (is_long && found.measured > 1.005 * found.truth) miss("too much");
  }
  if (found.error() > kClockTick) miss("more than the truth");
}

std::vector<std::string> missed_bars(const Accuracy& accuracy) {
  std::vector<std::string> missed;
  const bool judge_ticks = std::abs(accuracy.period - seconds(kTickErrorPeriod)) < 0.2;
  std::size_t judged = 0;
  for (const auto& load : accuracy.loads) {
    if (load.judged) ++judged;
    if (accuracy.bars == Bars::procfs) {
      if (load.first_window) judge_procfs(load, "the first minute", *load.first_window, missed);
      judge_procfs(load, "the whole run", load.whole, missed);
    }
    if (accuracy.bars != Bars::ps || !load.judged) continue;
    const auto off = [&](const char* stretch, const Comparison& found) {
      if (found.share_of_allowed() > 1) {
        missed.push_back(
            fmt::format("{} ({}): {:.2f} s measured, {:.2f} s true", load.load, stretch, found.measured, found.truth));
      }
    };
    off("the whole run", load.whole);
    if (load.worst_window) off("one minute", *load.worst_window);
    if (judge_ticks && load.tick_error.median > kTickErrorAllowed) {
      missed.push_back(fmt::format("{}: median error of one tick {:.3f} s", load.load, load.tick_error.median));
    }
  }
  if (judged == 0) missed.emplace_back("none of the loads that the bars are for was there");
  if (accuracy.uneven > 0) {
    missed.push_back(fmt::format("{} ticks whose sources do not sum up to the aggregate", accuracy.uneven));
  }
  if (accuracy.bars != Bars::sums && accuracy.highest_excess > kResolution) {
    missed.push_back(fmt::format("a row is {:.3f} s above what all cores can do", accuracy.highest_excess));
  }
  return missed;
}

}  // namespace

double Comparison::share_of_allowed() const { return std::abs(error()) / (kShareAllowed * truth + kSecondsAllowed); }

Result<std::vector<LoadTruth>> read_fleet_truth(const std::string& root) {
  const auto agents = read_fleet(root);
  if (!agents) return fail(agents.error());
  std::vector<LoadTruth> truths;
  const auto add = [&](std::string agent, std::string source, std::string load, const std::string& file) {
    auto rows = fleet::read_truth(file + ".jsonl");
    if (!rows) return Result<void>(fail(rows.error()));
    truths.push_back({std::move(agent), std::move(source), std::move(load), std::move(*rows)});
    return Result<void>{};
  };
  for (const auto& agent : *agents) {
    if (auto added = add(agent.name, "agent-server", "server", agent.server_truth); !added) return fail(added.error());
    for (const auto& session : agent.sessions) {
      if (auto added = add(agent.name, "session:" + session.id, session.load, session.truth); !added) {
        return fail(added.error());
      }
    }
  }
  return truths;
}

Result<Accuracy> compare(const std::vector<Tick>& ticks, const std::vector<LoadTruth>& truths, int cores, Bars bars) {
  if (ticks.empty()) return fail("compare the ticks: there is none");
  const auto baseline = baseline_of(ticks);
  if (!baseline) return fail(baseline.error());
  Accuracy result;
  result.bars = bars;
  result.ticks = ticks.size();
  result.seconds = seconds_between(*baseline, ticks.back().ts);
  for (const auto& load : truths) {
    const auto course = course_of(load, ticks, *baseline);
    if (!course) return fail(course.error());
    result.loads.push_back(accuracy_of(load, *course));
    result.everything.truth += course->back().total.truth;
  }
  result.everything.measured = measured_in_all(ticks);
  result.uneven = count_uneven(ticks);
  result.highest_excess = highest_excess(ticks, cores);
  std::vector<double> periods;
  std::vector<double> own;
  std::vector<double> children;
  for (auto tick = ticks.begin(); tick != ticks.end(); ++tick) {
    periods.push_back(seconds_between(tick == ticks.begin() ? *baseline : std::prev(tick)->ts, tick->ts));
    own.push_back(seconds(tick->own) * 1e3);
    children.push_back(seconds(tick->children) * 1e3);
  }
  result.period = spread_of(std::move(periods)).median;
  result.own_cost = spread_of(std::move(own));
  result.children_cost = spread_of(std::move(children));
  result.missed = missed_bars(result);
  return result;
}

}  // namespace fleetledger::bench
