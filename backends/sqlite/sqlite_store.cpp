#include "backends/sqlite/sqlite_store.h"

#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "backends/backends.h"
#include "backends/sqlite/kept_readers.h"
#include "backends/sqlite/ledger_homes.h"
#include "backends/sqlite/ledger_place.h"
#include "backends/sqlite/ledger_reader.h"
#include "backends/sqlite/ledger_writer.h"

namespace fleetledger {
namespace {

class SqliteStore final : public LedgerStore {
 public:
  explicit SqliteStore(StoreOptions options)
      : options_(std::move(options)), homes_(options_.central_directory, options_.limit) {}

  Result<LedgerStanding> append(const LedgerKey& ledger, const AgentTick& tick) override {
    auto home = homes_.find(ledger);
    if (!home) {
      return fail(home.error());
    }
    if (home->shared && !tick.samples.empty()) {
      const WallTime now = newest_ts(tick.samples);
      auto appended = append_unless_foreign(ledger, home->place, tick, now);
      if (!appended) {
        return fail(appended.error());
      }
      remember(ledger, {now, appended->foreign});
      if (!appended->foreign) {
        return standing_of(ledger, *home, std::nullopt, std::move(*appended));
      }
      forget(home->place.file());
      if (ledger.location == LedgerLocation::agent) {
        return yield(ledger, *home, tick, appended->foreign);
      }
      home =
          write(homes_.central(ledger.agent), [&](LedgerWriter& writer) { return homes_.move(ledger, writer, now); });
      if (!home) {
        return fail(home.error());
      }
    }
    const RollAt roll = roll_at(ledger, tick);
    auto written = write(home->place, [&](LedgerWriter& writer) { return writer.append(tick, roll); });
    if (!written) {
      return fail(written.error());
    }
    return standing_of(
        ledger, *home,
        tick.samples.empty() ? recall(ledger).newest : look_now_and_then(ledger, newest_ts(tick.samples)),
        std::move(*written));
  }

  Result<LedgerSummary> summary(const LedgerKey& ledger, WallTime since) override {
    return read(ledger,
                [&](const LedgerReader& reader) { return reader.summary(since, most_guess(ledger), summaries_); });
  }

  Result<std::vector<Sample>> recent_samples(const LedgerKey& ledger, const SampleQuery& query) override {
    return read(ledger, [&](const LedgerReader& reader) { return reader.recent_samples(query); });
  }

  Result<std::vector<SourceTrend>> trend(const LedgerKey& ledger, const TrendQuery& query) override {
    return read(ledger, [&](const LedgerReader& reader) { return reader.trend(query, most_guess(ledger)); });
  }

  Result<std::int64_t> sample_count(const LedgerKey& ledger) override {
    return read(ledger, [](const LedgerReader& reader) { return reader.sample_count(); });
  }

  Result<std::optional<WallTime>> newest_sample(const LedgerKey& ledger) override {
    return read(ledger, [](const LedgerReader& reader) { return reader.newest_sample(); });
  }

  Result<std::int64_t> prune_older_than(const LedgerKey& ledger, WallTime cutoff) override {
    const auto home = homes_.find(ledger);
    if (!home) {
      return fail(home.error());
    }
    const auto there = find_ledger(home->place);
    if (!there) {
      return fail(there.error());
    }
    if (!*there) {
      return 0;
    }
    return write(home->place,
                 [&](LedgerWriter& writer) { return writer.prune_older_than(cutoff, most_guess(ledger)); });
  }

  Result<RateLimitReport> rate_limit_report(const LedgerKey& ledger, WallTime since) override {
    return read(ledger, [&](const LedgerReader& reader) { return reader.rate_limit_report(since); });
  }

  Result<std::optional<RateLimitEvent>> rate_limit_event(const LedgerKey& ledger, const std::string& id) override {
    return read(ledger, [&](const LedgerReader& reader) { return reader.rate_limit_event(id); });
  }

  Result<Activity> activity(const LedgerKey& ledger, WallTime since, WallTime until) override {
    return read(ledger, [&](const LedgerReader& reader) { return reader.activity(since, until); });
  }

  Result<ReadMarks> read_marks(const LedgerKey& ledger) override {
    return read(ledger, [](const LedgerReader& reader) { return reader.read_marks(); });
  }

  Result<EventsElsewhere> events_elsewhere(const LedgerKey& ledger, const std::optional<ReadMark>& after) override {
    const auto home = homes_.find(ledger);
    if (!home) {
      return fail(home.error());
    }
    if (home->shared) {
      return EventsElsewhere();
    }
    auto found = LedgerReader(own_place(ledger.agent), options_.limit).events_after(after);
    if (found) {
      found->apart = true;
    }
    return found;
  }

  [[nodiscard]] LedgerStanding standing(const LedgerKey& ledger, WallTime now) override {
    const auto home = homes_.find(ledger);
    // Only the central file can keep it from being known.
    return standing_of(ledger, home ? *home : LedgerHomes::Home{.place = homes_.central(ledger.agent)},
                       look(ledger, now));
  }

  void release(const LedgerKey& ledger) override {
    for (const auto& file : {own_place(ledger.agent).file(), homes_.central(ledger.agent).file()}) {
      forget(file);
      summaries_.forget(file);
    }
    homes_.forget(ledger.agent.id);
    const std::lock_guard lock(mutex_);
    looks_.erase(ledger.agent.id);
    rolled_.erase(ledger.agent.id);
  }

 private:
  /// What a look for the rows of the agent's own sampler found.
  struct Look {
    std::optional<WallTime> at;
    std::optional<WallTime> newest;
  };

  static Micros most_guess(const LedgerKey& ledger) { return 2 * ledger.own_sampler_period; }

  static RollAt roll_at(const LedgerKey& ledger, const AgentTick& tick) { return {time_of(tick), most_guess(ledger)}; }

  static LedgerStanding standing_of(const LedgerKey& ledger, const LedgerHomes::Home& home,
                                    std::optional<WallTime> other, LedgerWriter::Appended appended = {}) {
    return {.place = home.place.file(),
            .central_since = home.central_since,
            .other_sampler = other,
            .yielding = other && ledger.location == LedgerLocation::agent,
            .cut_to = appended.cut_to,
            .more_to_prune = appended.more_to_prune,
            .new_events = std::move(appended.new_events)};
  }

  /// As LedgerWriter's. A file that is not open yet is looked at first, so that one that another sampler writes is left
  /// as it is.
  Result<LedgerWriter::Appended> append_unless_foreign(const LedgerKey& ledger, const LedgerPlace& place,
                                                       const AgentTick& tick, WallTime now) {
    const auto around = 2 * ledger.own_sampler_period;
    if (!is_open(place.file())) {
      auto foreign = LedgerReader(place, options_.limit).newest_foreign(now - around, now + around);
      if (!foreign) {
        return fail(foreign.error());
      }
      if (*foreign) {
        return LedgerWriter::Appended{.foreign = *foreign};
      }
    }
    const RollAt roll = roll_at(ledger, tick);
    return write(place, [&](LedgerWriter& writer) {
      return writer.append_unless_foreign(tick, roll, now - around, now + around);
    });
  }

  /// What the sentinels' log says is nobody's but ours to write and to prune, whoever samples; and so are rollups, once
  /// an hour.
  Result<LedgerStanding> yield(const LedgerKey& ledger, const LedgerHomes::Home& home, const AgentTick& tick,
                               std::optional<WallTime> other) {
    const WallTime hour = hour_of(newest_ts(tick.samples) - kGrace);
    if (tick.events.empty() && tick.recoveries.empty() && tick.marks.empty() && !tick.prune_rollups_before &&
        !tick.prune_events_before && !tick.prune_upstream_events_before && rolled_in(ledger) == hour) {
      return standing_of(ledger, home, other);
    }
    AgentTick ours = tick;
    ours.samples.clear();
    ours.prune_samples_before.reset();
    const RollAt roll = roll_at(ledger, tick);
    auto written = write(home.place, [&](LedgerWriter& writer) { return writer.append(ours, roll); });
    if (!written) {
      return fail(written.error());
    }
    {
      const std::lock_guard lock(mutex_);
      rolled_[ledger.agent.id] = hour;
    }
    return standing_of(ledger, home, other, std::move(*written));
  }

  /// The newest row of the agent's own sampler, if that is on; nothing also if its file cannot be read.
  std::optional<WallTime> look(const LedgerKey& ledger, WallTime now) const {
    const auto around = 2 * ledger.own_sampler_period;
    const auto newest =
        LedgerReader(own_place(ledger.agent), options_.limit).newest_foreign(now - around, now + around);
    return newest.value_or(std::nullopt);
  }

  /// The same for every tick of a ledger in which the answer changes nothing: looks once in a period.
  std::optional<WallTime> look_now_and_then(const LedgerKey& ledger, WallTime now) {
    Look last = recall(ledger);
    if (!last.at || std::chrono::abs(now - *last.at) >= ledger.own_sampler_period) {
      last = {now, look(ledger, now)};
      remember(ledger, last);
    }
    return last.newest;
  }

  std::optional<WallTime> rolled_in(const LedgerKey& ledger) {
    const std::lock_guard lock(mutex_);
    const auto found = rolled_.find(ledger.agent.id);
    return found == rolled_.end() ? std::nullopt : std::optional(found->second);
  }

  Look recall(const LedgerKey& ledger) {
    const std::lock_guard lock(mutex_);
    const auto found = looks_.find(ledger.agent.id);
    return found == looks_.end() ? Look{} : found->second;
  }

  void remember(const LedgerKey& ledger, Look look) {
    const std::lock_guard lock(mutex_);
    looks_[ledger.agent.id] = look;
  }

  template <typename Read>
  std::invoke_result_t<Read, const LedgerReader&> read(const LedgerKey& ledger, const Read& read) {
    auto home = homes_.find(ledger);
    if (!home) {
      return fail(home.error());
    }
    return read(LedgerReader(std::move(home->place), options_.limit, &readers_));
  }

  /// Runs `work` with the writer of the place, which nobody else has meanwhile.
  template <typename Work>
  std::invoke_result_t<Work, LedgerWriter&> write(const LedgerPlace& where, const Work& work) {
    std::unique_ptr<LedgerWriter> writer = take(where.file());
    if (writer && writer->moved()) {
      readers_.forget(where.file());
      writer->leave_moved();
      writer.reset();
    }
    if (!writer) {
      auto opened = LedgerWriter::open(where, options_.limit);
      if (!opened) {
        forget(where.file());
        return fail(opened.error());
      }
      writer = std::move(*opened);
    }
    auto result = work(*writer);
    if (result || result.error().kind == Error::Kind::busy) {
      writer->let_go_of_memory();
      keep(where.file(), std::move(writer));
    } else {
      forget(where.file());
    }
    return result;
  }

  bool is_open(const std::string& file) {
    const std::lock_guard lock(mutex_);
    const auto found = writers_.find(file);
    return found != writers_.end() && found->second;
  }

  /// The writer that is kept for a file, whose place stays reserved; nullptr if there is none.
  std::unique_ptr<LedgerWriter> take(const std::string& file) {
    const std::lock_guard lock(mutex_);
    const auto found = writers_.find(file);
    return found == writers_.end() ? nullptr : std::move(found->second);
  }

  /// Keeps a writer for the next time if there is room. First come, first kept: agents are written in turn, so that
  /// making room by closing the one that was not used for longest would close each just before it is needed.
  void keep(const std::string& file, std::unique_ptr<LedgerWriter> writer) {
    const std::lock_guard lock(mutex_);
    if (writers_.contains(file) || writers_.size() < options_.open_ledgers) {
      writers_[file].swap(writer);
      readers_.written(file);
    }
  }

  void forget(const std::string& file) {
    readers_.forget(file);
    std::unique_ptr<LedgerWriter> writer = take(file);
    const std::lock_guard lock(mutex_);
    writers_.erase(file);
  }

  const StoreOptions options_;
  LedgerHomes homes_;
  SummaryCache summaries_;
  std::mutex mutex_;
  std::map<std::string, WallTime> rolled_;  ///< by agent id: up to when its own sampler's rows were last rolled
  std::map<std::string, Look> looks_;       ///< by agent id
  std::map<std::string, std::unique_ptr<LedgerWriter>> writers_;  ///< by file; nullptr while it is at work
  KeptReaders readers_;                                           ///< goes before the writers
};

}  // namespace

Result<std::unique_ptr<LedgerStore>> open_sqlite_store(const StoreOptions& options) {
  return std::unique_ptr<LedgerStore>(std::make_unique<SqliteStore>(options));
}

}  // namespace fleetledger
