#include "backends/sqlite/ledger_reader.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>
#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "backends/activity_builder.h"
#include "backends/sqlite/columns.h"
#include "backends/sqlite/connection.h"
#include "backends/sqlite/kept_readers.h"
#include "backends/sqlite/ledger_hours.h"
#include "backends/sqlite/schema.h"
#include "backends/sqlite/statements.h"
#include "backends/summary_builder.h"
#include "backends/trend_builder.h"
#include "core/fnv.h"

namespace fleetledger {
namespace {

std::int64_t count_samples(SQLite::Database& database) { return database.execAndGet(sql::kCount).getInt64(); }

struct ReadSummary {
  LedgerSummary summary;
  std::optional<WallTime> first_to_leave;  ///< see SummaryBuilder
};

ReadSummary read_summary(LedgerConnection& connection, const LedgerSchema& schema, WallTime since, Micros most_guess,
                         const std::string& ledger, SummaryCache& summaries) {
  const WallTime end = from_ms(sql::kEndOfTime);
  SummaryBuilder builder;
  const SqliteHours hours(connection.database(), schema);
  visit_window(hours, {since, end}, {since, end}, most_guess,
               {[&builder](const Sample& row, Micros guess) { builder.add(row, guess); },
                [&builder](const Rollup& rollup) { builder.add(rollup); }});
  const auto settled = hours.settled_rows(summaries.find_rows(ledger));
  summaries.keep_rows(ledger, settled);
  return {{builder.sources(), settled.rows + hours.rows_from(settled.until)}, builder.first_to_leave()};
}

bool comes_after(const SampleCursor& cursor, const Sample& sample) {
  return sample.ts < cursor.ts || (sample.ts == cursor.ts && sample.source > cursor.source);
}

std::vector<Sample> read_recent(SQLite::Database& database, bool own_columns, const SampleQuery& query) {
  SQLite::Statement statement(database, query.source ? sql::samples_of_source(own_columns) : sql::samples(own_columns));
  int index = 0;
  if (query.source) {
    statement.bindNoCopy(++index, *query.source);
  }
  statement.bind(++index, to_ms(query.since));
  std::int64_t end = sql::kEndOfTime;
  if (query.before && to_ms(query.before->ts) < end) {
    end = to_ms(query.before->ts) + 1;
  }
  statement.bind(++index, end);
  std::vector<Sample> samples;
  while (static_cast<std::int64_t>(samples.size()) < query.limit && statement.executeStep()) {
    Sample sample = read_sample(statement);
    if (!query.before || comes_after(*query.before, sample)) {  // as it reads, cut or not, so that paging gets on
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

std::vector<SourceTrend> read_trend(SQLite::Database& database, const LedgerSchema& schema, const TrendQuery& query,
                                    Micros most_guess) {
  std::map<std::string, TrendBuilder> by_source;
  const auto of = [&](const std::string& source) -> TrendBuilder& {
    return by_source.try_emplace(source, query).first->second;
  };
  visit_window(SqliteHours(database, schema), {query.since, query.until, query.source ? &*query.source : nullptr},
               edges_of(query), most_guess,
               {[&](const Sample& row, Micros guess) { of(row.source).add(row, guess); },
                [&](const Rollup& rollup) { of(rollup.source).add(rollup); }});
  std::vector<SourceTrend> trends;
  for (auto& [source, trend] : by_source) {
    trends.push_back({source, std::move(trend).buckets()});
  }
  return trends;
}

/// A row of one of the statements on events.
RateLimitEvent read_event(SQLite::Statement& row) {
  return {.id = text(row.getColumn(0)),
          .ts = from_ms(row.getColumn(1).getInt64()),
          .kind = text(row.getColumn(2)),
          .source = text(row.getColumn(3)),
          .account_key = text(row.getColumn(4)),
          .session_name = optional_text(row.getColumn(5)),
          .reason = optional_text(row.getColumn(6)),
          .detail = optional_text(row.getColumn(7))};
}

/// `statement`: sql::kEvents or sql::kRecoveries.
std::vector<RateLimitEvent> read_newest_events(SQLite::Database& database, const char* statement, std::int64_t since,
                                               std::int64_t end, std::int64_t most = kMostEvents) {
  SQLite::Statement row(database, statement);
  row.bind(1, since);
  row.bind(2, end);
  row.bind(3, most);
  std::vector<RateLimitEvent> events;
  while (row.executeStep()) {
    events.push_back(read_event(row));
  }
  return events;
}

RateLimitReport read_events(SQLite::Database& database, const LedgerSchema& schema, WallTime since) {
  RateLimitReport report;
  SQLite::Statement kinds(database, sql::kEventKinds);
  kinds.bind(1, to_ms(since));
  kinds.bind(2, std::int64_t{sql::kEndOfTime});
  while (kinds.executeStep()) {
    const std::int64_t count = kinds.getColumn(2).getInt64();
    report.total += count;
    if (report.by_kind.size() < kMostEvents) {
      report.by_kind.push_back({text(kinds.getColumn(0)), text(kinds.getColumn(1)), count,
                                from_ms(kinds.getColumn(3).getInt64()), from_ms(kinds.getColumn(4).getInt64())});
    }
  }
  report.events = read_newest_events(database, sql::kEvents, to_ms(since), sql::kEndOfTime);
  if (schema.own_tables) {
    report.recoveries = read_newest_events(database, sql::kRecoveries, to_ms(since), sql::kEndOfTime);
  }
  return report;
}

std::optional<RateLimitEvent> read_one_event(SQLite::Database& database, const std::string& id) {
  SQLite::Statement row(database, sql::kEvent);
  row.bindNoCopy(1, id);
  row.bind(2, std::int64_t{sql::kEndOfTime});
  return row.executeStep() ? std::optional(read_event(row)) : std::nullopt;
}

Activity read_activity(SQLite::Database& database, const LedgerSchema& schema, WallTime since, WallTime until) {
  Activity activity;
  if (schema.samples) {
    SQLite::Statement row(database, sql::activity_rows(schema.own_columns));
    row.bind(1, to_ms(since) + 1);
    row.bind(2, std::min(to_ms(until + kLongestRow), std::int64_t{sql::kEndOfTime}));
    ActivityBuilder builder(since, until);
    Sample sample;
    while (row.executeStep()) {
      sample.ts = from_ms(row.getColumn(0).getInt64());
      sample.source = text(row.getColumn(1));
      sample.usage = usage(row.getColumn(2));
      sample.interval = interval(row.getColumn(3));
      builder.add(sample);
    }
    activity.sources = std::move(builder).sources();
  }
  if (schema.events) {
    activity.events = read_newest_events(database, sql::kEvents, to_ms(since) + 1,
                                         std::min(to_ms(until) + 1, std::int64_t{sql::kEndOfTime}));
  }
  return activity;
}

ReadMarks read_all_marks(SQLite::Database& database) {
  ReadMarks marks;
  SQLite::Statement row(database, sql::kMarks);
  while (row.executeStep()) {
    const auto number = [&row](int column) { return static_cast<std::uint64_t>(row.getColumn(column).getInt64()); };
    marks[text(row.getColumn(0))] = {number(1), number(2), number(3), number(4), text(row.getColumn(5))};
  }
  return marks;
}

/// Of the last row that was read; another one in its place, and the rows were numbered anew.
std::uint64_t fingerprint_of(const std::string& id) { return fnv1a(id); }

EventsElsewhere read_events_after(SQLite::Database& database, const std::optional<ReadMark>& after) {
  constexpr std::int64_t kAtOnce = 1000;
  EventsElsewhere found;
  SQLite::Statement row(database, sql::kEventsFromRow);
  const auto read_from = [&row](std::int64_t first, std::int64_t most) {
    row.reset();
    row.bind(1, first);
    row.bind(2, most);
  };
  std::int64_t first = 0;
  if (after && after->offset > 0) {
    const auto last = static_cast<std::int64_t>(after->offset - 1);
    read_from(last, 1);
    const bool there = row.executeStep() && row.getColumn(8).getInt64() == last;
    if (there && fingerprint_of(text(row.getColumn(0))) == after->fingerprint) {
      first = std::min(last, std::numeric_limits<std::int64_t>::max() - 1) + 1;
      found.mark = *after;
    }
  }
  read_from(first, kAtOnce);
  std::int64_t rows = 0;
  for (; row.executeStep(); ++rows) {
    const RateLimitEvent event = read_event(row);
    found.mark.offset = static_cast<std::uint64_t>(row.getColumn(8).getInt64()) + 1;
    found.mark.fingerprint = fingerprint_of(event.id);
    if (row.getColumn(1).isInteger() && to_ms(event.ts) >= 0 && to_ms(event.ts) < sql::kEndOfTime) {
      found.events.push_back(event);
    }
  }
  found.more = rows == kAtOnce;
  return found;
}

/// Where a ledger is read: its place, how long one operation may take, and what may be kept open.
struct Reading {
  const LedgerPlace& place;
  std::chrono::milliseconds limit;
  KeptReaders* kept;
};

/// The schema of what is read in this transaction: read again only if it was changed.
Result<void> renew_schema(OpenReader& reader, bool fresh) {
  const std::int64_t version = reader.connection->database().execAndGet("PRAGMA schema_version").getInt64();
  if (fresh || version != reader.schema_version) {
    const auto schema = read_schema(*reader.connection);
    if (!schema) {
      return fail(schema.error());
    }
    reader.schema = *schema;
    reader.schema_version = version;
  }
  return {};
}

/// One attempt by one connection: `read(connection, schema)` in one transaction, so that its parts fit together.
template <typename Answer, typename Read>
Result<Answer> read_once(const Reading& reading, const std::string& path, LedgerConnection::Access access,
                         const LedgerRest& rest, const Read& read) {
  const std::string file = reading.place.file();
  auto reader = reading.kept != nullptr ? reading.kept->take(file, path, access, rest) : nullptr;
  const bool fresh = !reader;
  if (fresh) {
    auto connection = LedgerConnection::open(path, access, reading.limit);
    if (!connection) {
      return fail(connection.error());
    }
    reader = std::make_unique<OpenReader>(OpenReader{std::move(*connection), access, rest, {}, 0});
  }
  Result<Answer> answer;
  try {
    SQLite::Transaction transaction(reader->connection->database());
    if (const auto renewed = renew_schema(*reader, fresh); !renewed) {
      return fail(renewed.error());
    }
    answer = read(*reader->connection, reader->schema);
  } catch (const std::exception& thrown) {
    return fail(ledger_error("read", path, thrown));
  }
  if (answer && reading.kept != nullptr) {
    reading.kept->keep(file, std::move(reader));
  }
  return answer;
}

template <typename Answer, typename Read>
Result<Answer> read_ledger(const Reading& reading, const Read& read) {
  using Access = LedgerConnection::Access;
  constexpr int kAttempts = 3;
  bool read_failed = false;  // a reader that may not make a -shm fails where a look at the resting file does not
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto path = find_ledger(reading.place);
    if (!path) {
      return fail(path.error());
    }
    if (!*path) {
      return Result<Answer>();
    }
    const LedgerRest before = look_at_ledger(**path);
    const Access access = before.no_journal && (read_failed || before.settled()) ? Access::read_at_rest
                          : before.left && read_failed                           ? Access::read_left
                                                                                 : Access::read;
    auto answer = read_once<Answer>(reading, **path, access, before, read);
    const LedgerRest after = look_at_ledger(**path);
    const bool alone = access != Access::read;
    const bool held = !answer && answer.error().kind == Error::Kind::busy;  // who holds it may be writing
    if (alone ? after == before : answer || held || !(after.no_journal || after.left)) {
      return answer;
    }
    read_failed = !alone;
  }
  return fail("read ledger " + reading.place.file() + ": it changes all the time", Error::Kind::busy);
}

}  // namespace

Result<LedgerSummary> LedgerReader::summary(WallTime since, Micros most_guess, SummaryCache& summaries) const {
  const auto path = find_ledger(place_);
  if (!path) {
    return fail(path.error());
  }
  if (!*path) {
    return LedgerSummary();
  }
  const LedgerRest before = look_at_ledger(**path);
  const bool settled = before.settled();
  if (auto known = summaries.find(place_.file(), before, since)) {
    return std::move(*known);
  }
  auto read = read_ledger<ReadSummary>(
      Reading{place_, limit_, kept_}, [&](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.samples ? read_summary(connection, schema, since, most_guess, place_.file(), summaries)
                              : ReadSummary();
      });
  if (!read) {
    return fail(read.error());
  }
  if (settled && look_at_ledger(**path) == before) {
    summaries.keep(place_.file(), before, since, read->first_to_leave, read->summary);
  }
  return std::move(read->summary);
}

Result<std::vector<Sample>> LedgerReader::recent_samples(const SampleQuery& query) const {
  return read_ledger<std::vector<Sample>>(
      Reading{place_, limit_, kept_}, [&query](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.samples ? read_recent(connection.database(), schema.own_columns, query) : std::vector<Sample>();
      });
}

Result<std::vector<SourceTrend>> LedgerReader::trend(const TrendQuery& query, Micros most_guess) const {
  if (const auto good = check(query); !good) {
    return fail(good.error());
  }
  return read_ledger<std::vector<SourceTrend>>(
      Reading{place_, limit_, kept_}, [&query, most_guess](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.samples && query.since < query.until
                   ? read_trend(connection.database(), schema, query, most_guess)
                   : std::vector<SourceTrend>();
      });
}

Result<std::int64_t> LedgerReader::sample_count() const {
  return read_ledger<std::int64_t>(Reading{place_, limit_, kept_},
                                   [](LedgerConnection& connection, const LedgerSchema& schema) {
                                     return schema.samples ? count_samples(connection.database()) : 0;
                                   });
}

Result<std::optional<WallTime>> LedgerReader::newest_sample() const {
  return read_ledger<std::optional<WallTime>>(
      Reading{place_, limit_, kept_}, [](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.samples ? SqliteHours(connection.database(), schema).newest() : std::nullopt;
      });
}

Result<RateLimitReport> LedgerReader::rate_limit_report(WallTime since) const {
  return read_ledger<RateLimitReport>(
      Reading{place_, limit_, kept_}, [since](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.events ? read_events(connection.database(), schema, since) : RateLimitReport();
      });
}

Result<std::optional<WallTime>> LedgerReader::newest_foreign(WallTime since, WallTime until) const {
  return read_ledger<std::optional<WallTime>>(
      Reading{place_, limit_, kept_},
      [since, until](LedgerConnection& connection, const LedgerSchema& schema) -> std::optional<WallTime> {
        if (!schema.samples) {
          return std::nullopt;
        }
        SQLite::Statement newest(connection.database(), sql::newest_foreign(schema.own_columns));
        newest.bind(1, to_ms(since));
        newest.bind(2, to_ms(until));
        return newest.executeStep() ? std::optional(from_ms(newest.getColumn(0).getInt64())) : std::nullopt;
      });
}

Result<void> LedgerReader::our_samples(const std::function<Result<void>(const std::vector<Sample>&)>& take) const {
  constexpr std::size_t kAtOnce = 5000;
  return read_ledger<void>(Reading{place_, limit_, kept_},
                           [&take](LedgerConnection& connection, const LedgerSchema& schema) -> Result<void> {
                             if (!schema.samples || !schema.own_columns) {
                               return {};
                             }
                             SQLite::Statement row(connection.database(), sql::our_samples());
                             row.bind(1, std::int64_t{sql::kEndOfTime});
                             std::vector<Sample> samples;
                             bool more = true;
                             while (more) {
                               connection.start_clock();
                               more = row.executeStep();
                               if (more) {
                                 samples.push_back(read_sample(row));
                               }
                               if (!samples.empty() && (!more || samples.size() == kAtOnce)) {
                                 if (auto taken = take(samples); !taken) {
                                   return taken;
                                 }
                                 samples.clear();
                               }
                             }
                             return {};
                           });
}

Result<void> LedgerReader::lone_rollups(const std::function<Result<void>(const std::vector<Rollup>&)>& take) const {
  return read_ledger<void>(
      Reading{place_, limit_, kept_}, [&take](LedgerConnection& connection, const LedgerSchema& schema) {
        const SqliteHours hours(connection.database(), schema);
        const auto oldest = hours.first_row(WallTime::min());
        std::map<std::string, std::int64_t> rows;  // of the oldest hour, which somebody else may have pruned in part
        if (oldest) {
          const WallTime hour = hour_of(*oldest);
          hours.rows({hour, hour + kHour}, [&rows](const Sample& row) { ++rows[row.source]; });
        }
        Result<void> taken;
        std::vector<Rollup> rollups;
        for (auto first = hours.first_rollup(WallTime::min()); first && taken;) {
          connection.start_clock();
          const WallTime end = day_of(*first) + kDay;
          hours.rollups(Span::hour, {*first, end}, [&](const Rollup& rollup) {
            const bool before = !oldest || rollup.start < hour_of(*oldest);
            const bool cut = oldest && rollup.start == hour_of(*oldest) && rows[rollup.source] < rollup.tally.rows;
            if (!rollup.complete || before || cut) {
              rollups.push_back(rollup);
              rollups.back().complete = false;
            }
          });
          taken = take(rollups);
          rollups.clear();
          first = hours.first_rollup(end);
        }
        return taken;
      });
}

Result<AgentTick> LedgerReader::our_notes() const {
  constexpr std::int64_t kMost = 100'000;
  return read_ledger<AgentTick>(
      Reading{place_, limit_, kept_}, [](LedgerConnection& connection, const LedgerSchema& schema) {
        AgentTick notes;
        if (schema.own_tables) {
          notes.recoveries = read_newest_events(connection.database(), sql::kRecoveries, 0, sql::kEndOfTime, kMost);
          notes.marks = read_all_marks(connection.database());
        }
        return notes;
      });
}

Result<std::optional<WallTime>> LedgerReader::central_since() const {
  return read_ledger<std::optional<WallTime>>(
      Reading{place_, limit_, kept_},
      [](LedgerConnection& connection, const LedgerSchema& schema) -> std::optional<WallTime> {
        if (!schema.marks) {
          return std::nullopt;
        }
        SQLite::Statement mark(connection.database(), sql::kCentralSince);
        return mark.executeStep() ? std::optional(from_ms(mark.getColumn(0).getInt64())) : std::nullopt;
      });
}

Result<std::optional<RateLimitEvent>> LedgerReader::rate_limit_event(const std::string& id) const {
  return read_ledger<std::optional<RateLimitEvent>>(
      Reading{place_, limit_, kept_}, [&id](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.events ? read_one_event(connection.database(), id) : std::nullopt;
      });
}

Result<Activity> LedgerReader::activity(WallTime since, WallTime until) const {
  if (until <= since) {
    return Activity();
  }
  return read_ledger<Activity>(Reading{place_, limit_, kept_},
                               [since, until](LedgerConnection& connection, const LedgerSchema& schema) {
                                 return read_activity(connection.database(), schema, since, until);
                               });
}

Result<ReadMarks> LedgerReader::read_marks() const {
  return read_ledger<ReadMarks>(Reading{place_, limit_, kept_},
                                [](LedgerConnection& connection, const LedgerSchema& schema) {
                                  return schema.own_tables ? read_all_marks(connection.database()) : ReadMarks();
                                });
}

Result<EventsElsewhere> LedgerReader::events_after(const std::optional<ReadMark>& after) const {
  return read_ledger<EventsElsewhere>(
      Reading{place_, limit_, kept_}, [&after](LedgerConnection& connection, const LedgerSchema& schema) {
        return schema.events ? read_events_after(connection.database(), after) : EventsElsewhere();
      });
}

}  // namespace fleetledger
