#include "backends/sqlite/ledger_writer.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <algorithm>
#include <optional>
#include <sqlite3.h>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "backends/clean.h"
#include "backends/sqlite/columns.h"
#include "backends/sqlite/connection.h"
#include "backends/sqlite/ledger_hours.h"
#include "backends/sqlite/schema.h"
#include "backends/sqlite/statements.h"

namespace fleetledger {
namespace {

/// No sampler writes more rows in an hour.
constexpr std::int64_t kMostOfHour = 250'000;

const std::string kNewestForeign = sql::newest_foreign(true);

void bind_number(SQLite::Statement& statement, int index, const std::optional<std::int64_t>& value) {
  if (value) {
    statement.bind(index, *value);
  } else {
    statement.bind(index);
  }
}

/// `value` must live until the statement is run.
void bind_text(SQLite::Statement& statement, int index, const std::optional<std::string>& value) {
  if (value) {
    statement.bindNoCopy(index, *value);
  } else {
    statement.bind(index);
  }
}

/// A statement that is prepared when it is needed: most ledgers never need most of them, and each takes several KiB.
class PreparedLate {
 public:
  PreparedLate(SQLite::Database& database, const char* text) : database_(database), text_(text) {}

  SQLite::Statement& get() { return statement_ ? *statement_ : statement_.emplace(database_, text_); }
  void forget() { statement_.reset(); }

 private:
  SQLite::Database& database_;
  const char* text_;
  std::optional<SQLite::Statement> statement_;
};

/// Like SQLite::Transaction, which has SQLite read both statements anew each time.
class WriteTransaction {
 public:
  struct Statements {
    explicit Statements(SQLite::Database& the_database)
        : database(the_database), begin(database, "BEGIN IMMEDIATE"), commit(database, "COMMIT") {}

    SQLite::Database& database;
    SQLite::Statement begin;
    SQLite::Statement commit;
  };

  /// Throws if it cannot begin, as commit() does if it cannot end.
  explicit WriteTransaction(Statements& statements) : statements_(statements) { run(statements_.begin); }
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;
  ~WriteTransaction() {
    if (!committed_) {
      statements_.database.tryExec("ROLLBACK");
    }
  }

  void commit() {
    run(statements_.commit);
    committed_ = true;
  }

 private:
  static void run(SQLite::Statement& statement) {
    statement.tryReset();
    statement.exec();
    statement.tryReset();
  }

  Statements& statements_;
  bool committed_ = false;
};

}  // namespace

struct LedgerWriter::Parts {
  Parts(std::unique_ptr<LedgerConnection> opened, const LedgerSchema& schema, bool beside_agent)
      : shared(beside_agent),
        connection(std::move(opened)),
        transactions(connection->database()),
        any_since(connection->database(), sql::kAnySince),
        taken(connection->database(), sql::kTaken),
        insert_sample(connection->database(), sql::kInsertSample),
        insert_event(connection->database(), sql::kInsertEvent),
        insert_recovery(connection->database(), sql::kInsertRecovery),
        set_mark(connection->database(), sql::kSetMark),
        prune_events(connection->database(), sql::kPruneEvents),
        prune_upstream_events(connection->database(), sql::kPruneUpstreamEvents),
        prune_recoveries(connection->database(), sql::kPruneRecoveries),
        newest_foreign(connection->database(), kNewestForeign.c_str()),
        hours(connection->database(), schema) {}

  const bool shared;                             ///< the agent's own sampler may write here too
  std::unique_ptr<LedgerConnection> connection;  ///< outlives the statements
  WriteTransaction::Statements transactions;
  PreparedLate any_since;
  PreparedLate taken;
  SQLite::Statement insert_sample;
  PreparedLate insert_event;
  PreparedLate insert_recovery;
  PreparedLate set_mark;
  PreparedLate prune_events;
  PreparedLate prune_upstream_events;
  PreparedLate prune_recoveries;
  PreparedLate newest_foreign;
  SqliteHours hours;
  /// Of the ledger, as long as nobody but us writes there: so that a usual tick asks for nothing.
  struct {
    std::optional<WallTime> newest;            ///< no row is newer
    std::optional<WallTime> no_foreign_since;  ///< no row of another sampler is as new
  } known;
  bool ended_well = false;           ///< the last transaction was committed
  std::optional<WallTime> share_of;  ///< the hour in which our share of a shared file was found to be within bounds

  /// What a tick needs that does not prune, is free of events and begins no hour, stays prepared.
  void forget_rare_statements() {
    hours.forget_rare_statements();
    for (auto* statement :
         {&any_since, &newest_foreign, &taken, &prune_events, &prune_upstream_events, &prune_recoveries}) {
      statement->forget();
    }
  }

  [[nodiscard]] bool is_taken(const Sample& sample) {
    SQLite::Statement& statement = taken.get();
    statement.tryReset();
    statement.bindNoCopy(1, sample.source);
    statement.bind(2, to_ms(sample.ts));
    const bool found = statement.executeStep();
    statement.tryReset();
    return found;
  }

  /// Whether no sample has to look for a free moment: each source is there once, and no row of the ledger is as new.
  [[nodiscard]] bool all_free(const std::vector<Sample>& samples) {
    if (samples.empty()) {
      return true;
    }
    std::vector<std::string_view> sources;
    WallTime oldest = WallTime::max();
    for (const Sample& sample : samples) {
      sources.emplace_back(sample.source);
      oldest = std::min(oldest, sample.ts);
    }
    std::sort(sources.begin(), sources.end());
    if (std::adjacent_find(sources.begin(), sources.end()) != sources.end()) {
      return false;
    }
    if (known.newest) {
      return *known.newest < oldest;
    }
    SQLite::Statement& statement = any_since.get();
    statement.tryReset();
    statement.bind(1, to_ms(oldest));
    const bool found = statement.executeStep();
    statement.tryReset();
    return !found;
  }

  void move_to_free_moment(Sample& sample) {
    while (is_taken(sample)) {
      sample.ts += std::chrono::milliseconds{1};
    }
  }

  void insert(const Sample& sample) {
    const auto count_of = [](const auto& value) { return value ? std::optional(value->count()) : std::nullopt; };
    insert_sample.tryReset();
    insert_sample.bind(1, to_ms(sample.ts));
    insert_sample.bindNoCopy(2, sample.source);
    insert_sample.bind(3, sample.pid);
    insert_sample.bind(4, sample.cpu_percent);
    insert_sample.bind(5, sample.resident.value);
    bind_number(insert_sample, 6, sample.heap ? std::optional(sample.heap->value) : std::nullopt);
    bind_number(insert_sample, 7, sample.usage ? std::optional(sample.usage->micros().count()) : std::nullopt);
    bind_number(insert_sample, 8, count_of(sample.interval));
    bind_number(insert_sample, 9, sample.processes ? std::optional<std::int64_t>(*sample.processes) : std::nullopt);
    insert_sample.exec();
    insert_sample.tryReset();
    if (known.newest) {
      known.newest = std::max(*known.newest, sample.ts);
    }
    if (!sample.interval) {  // looks like another sampler's
      known.no_foreign_since.reset();
    }
  }

  /// `into`: insert_event or insert_recovery. Whether the id was not there.
  static bool insert(SQLite::Statement& into, const RateLimitEvent& event) {
    into.tryReset();
    into.bindNoCopy(1, event.id);
    into.bind(2, to_ms(event.ts));
    into.bindNoCopy(3, event.kind);
    into.bindNoCopy(4, event.source);
    into.bindNoCopy(5, event.account_key);
    bind_text(into, 6, event.session_name);
    bind_text(into, 7, event.reason);
    bind_text(into, 8, event.detail);
    const bool is_new = into.exec() > 0;
    into.tryReset();
    return is_new;
  }

  std::optional<WallTime> find_foreign(WallTime since, WallTime until) {
    if (known.no_foreign_since && *known.no_foreign_since <= since) {
      return std::nullopt;
    }
    const auto found = look_for_foreign(to_ms(since), to_ms(until));
    if (!found && !look_for_foreign(to_ms(since), sql::kEndOfTime)) {
      known.no_foreign_since = since;
    }
    return found;
  }

  std::optional<WallTime> look_for_foreign(std::int64_t since, std::int64_t until) {
    SQLite::Statement& statement = newest_foreign.get();
    statement.tryReset();
    statement.bind(1, since);
    statement.bind(2, until);
    std::optional<WallTime> found;
    if (statement.executeStep()) {
      found = WallTime{std::chrono::milliseconds{statement.getColumn(0).getInt64()}};
    }
    statement.tryReset();
    return found;
  }

  Appended insert(const AgentTick& tick, const RollAt& roll) {
    std::vector<Sample> samples;
    samples.reserve(tick.samples.size());
    for (const Sample& sample : tick.samples) {
      samples.push_back(clean(sample));
    }
    const bool free = all_free(samples);
    std::optional<LateRows> late;
    if (!samples.empty()) {
      late.emplace(hours, roll.most_guess);
    }
    for (Sample& sample : samples) {
      if (!free) {
        move_to_free_moment(sample);
      }
      insert(sample);
      late->written(sample);
    }
    if (free && !known.newest && !samples.empty()) {
      known.newest = newest_ts(samples);
    }
    if (roll.now) {
      roll_hours(hours, *roll.now, roll.most_guess);
    }
    Appended appended;
    for (const RateLimitEvent& event : tick.events) {
      if (insert(insert_event.get(), clean(event))) {
        appended.new_events.push_back(event.id);
      }
    }
    for (const RateLimitEvent& recovery : tick.recoveries) {
      insert(insert_recovery.get(), clean(recovery));
    }
    for (const auto& [source, mark] : tick.marks) {
      set(source, mark);
    }
    appended.more_to_prune = prune_all(tick, roll.most_guess);
    if (tick.most_bytes && roll.now) {
      appended.cut_to = shrink(*tick.most_bytes, *roll.now, roll.most_guess);
    }
    return appended;
  }

  /// Of the oldest rows so many that what is left is within the bound, but not more than a few thousand at a time; from
  /// when on they are left. How many rows are another sampler's is counted once an hour.
  std::optional<WallTime> shrink(Bytes most, WallTime now, Micros most_guess) {
    if (hours.size() <= most) {
      return std::nullopt;
    }
    const Bytes used = hours.used();
    if (used <= most || (shared && share_of == hour_of(now))) {
      return std::nullopt;
    }
    double share = 1;
    if (shared) {
      share = hours.our_share();
      if (static_cast<double>(used.value) * share <= static_cast<double>(most.value)) {
        share_of = hour_of(now);
        return std::nullopt;
      }
    }
    const auto too_much = [&] {
      return static_cast<double>(hours.used().value) * share > static_cast<double>(most.value);
    };
    std::optional<WallTime> cut_to;
    for (std::int64_t rows = 0; rows < kRowsAtOnce && too_much();) {
      const auto row = shared ? hours.first_row_of_ours() : hours.first_row(WallTime::min());
      const auto rollup = hours.first_rollup(WallTime::min());
      if (row && hour_of(*row) < hour_of(now)) {
        roll_hour_of(hours, *row, most_guess, Then::prune);
        cut_to = hour_of(*row) + kHour;
        rows += shared ? hours.remove_rows_of_ours(*cut_to, kMostOfHour) : hours.remove_rows(*cut_to, kMostOfHour);
        hours.rows_before_changed();
      } else if (rollup && day_of(*rollup) < day_of(now)) {
        cut_to = day_of(*rollup) + kDay;
        hours.remove_rollups(*cut_to);
        rows += kRowsAtOnce;
      } else {
        break;
      }
    }
    return cut_to;
  }

  /// Runs `work` in a transaction that nobody else's writing comes into; what it returns, if that was committed.
  template <typename Work>
  Result<std::invoke_result_t<Work>> in_transaction(std::string_view doing, const Work& work) {
    connection->start_clock();
    try {
      WriteTransaction transaction(transactions);
      if (!hours.begin(std::exchange(ended_well, false))) {
        known = {};
      }
      const auto commit = [&] {
        transaction.commit();
        hours.committed();
        ended_well = true;
      };
      if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
        work();
        commit();
        return {};
      } else {
        auto result = work();
        commit();
        return result;
      }
    } catch (const std::exception& thrown) {
      return fail(ledger_error(doing, *connection, thrown));
    }
  }

  void set(const std::string& source, const ReadMark& mark) {
    SQLite::Statement& statement = set_mark.get();
    statement.tryReset();
    statement.bindNoCopy(1, source);
    statement.bind(2, static_cast<std::int64_t>(mark.device));
    statement.bind(3, static_cast<std::int64_t>(mark.inode));
    statement.bind(4, static_cast<std::int64_t>(mark.offset));
    statement.bind(5, static_cast<std::int64_t>(mark.fingerprint));
    statement.bindNoCopy(6, mark.memory);
    statement.exec();
    statement.tryReset();
  }

  static std::int64_t prune_some(SQLite::Statement& statement, WallTime cutoff, std::string_view our_source = {}) {
    statement.tryReset();
    statement.bind(1, to_ms(cutoff));
    statement.bind(2, kRowsAtOnce);
    if (!our_source.empty()) {
      statement.bind(3, std::string(our_source));
    }
    const int deleted = statement.exec();
    statement.tryReset();
    return deleted;
  }

  /// Whether there is more to prune than went.
  bool prune_all(const AgentTick& tick, Micros most_guess) {
    bool more = false;
    const auto pruned = [&more](std::int64_t rows) { more = more || rows >= kRowsAtOnce; };
    if (tick.prune_samples_before) {
      pruned(prune_hours(hours, *tick.prune_samples_before, most_guess));
    }
    if (tick.prune_rollups_before && prune_rollups(hours, *tick.prune_rollups_before)) {
      more = true;
    }
    if (tick.prune_events_before) {
      pruned(prune_some(prune_events.get(), *tick.prune_events_before, kSentinelEvents));
      pruned(prune_some(prune_recoveries.get(), *tick.prune_events_before));
    }
    if (tick.prune_upstream_events_before) {
      pruned(prune_some(prune_upstream_events.get(), *tick.prune_upstream_events_before, kSentinelEvents));
    }
    return more;
  }
};

LedgerWriter::LedgerWriter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

LedgerWriter::~LedgerWriter() = default;

Result<std::unique_ptr<LedgerWriter>> LedgerWriter::open(const LedgerPlace& place, std::chrono::milliseconds limit) {
  const auto path = prepare_ledger(place);
  if (!path) {
    return fail(path.error());
  }
  auto connection = LedgerConnection::open(*path, LedgerConnection::Access::write, limit);
  if (!connection) {
    return fail(connection.error());
  }
  auto schema = read_schema(**connection);
  if (!schema) {
    return fail(schema.error());
  }
  if (auto prepared = (*connection)->prepare_to_write(); !prepared) {
    return fail(prepared.error());
  }
  if (!schema->complete()) {
    if (auto completed = complete_schema(**connection); !completed) {
      return fail(completed.error());
    }
    schema = read_schema(**connection);
  }
  if (!schema) {
    return fail(schema.error());
  }
  try {
    return std::unique_ptr<LedgerWriter>(new LedgerWriter(
        std::make_unique<Parts>(std::move(*connection), *schema, place.rule == LedgerPlace::Home::found)));
  } catch (const std::exception& thrown) {
    return fail(ledger_error("open", *path, thrown));
  }
}

bool LedgerWriter::moved() const { return parts_->connection->moved(); }

void LedgerWriter::leave_moved() {
  parts_->connection->start_clock();
  try {
    parts_->connection->database().exec("PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (const std::exception&) {  // a disk that has gone, too
  }
}

void LedgerWriter::let_go_of_memory() {
  parts_->forget_rare_statements();
  sqlite3_db_release_memory(parts_->connection->database().getHandle());
}

Result<LedgerWriter::Appended> LedgerWriter::append(const AgentTick& tick, const RollAt& roll) {
  return parts_->in_transaction("append to", [&] { return parts_->insert(tick, roll); });
}

Result<LedgerWriter::Appended> LedgerWriter::append_unless_foreign(const AgentTick& tick, const RollAt& roll,
                                                                   WallTime since, WallTime until) {
  return parts_->in_transaction("append to", [&] {
    const auto foreign = parts_->find_foreign(since, until);
    return foreign ? Appended{.foreign = foreign} : parts_->insert(tick, roll);
  });
}

Result<void> LedgerWriter::copy(const std::vector<Sample>& samples) {
  return parts_->in_transaction("copy to", [&] {
    LateRows late(parts_->hours, Micros{0});
    for (const Sample& sample : samples) {
      if (!parts_->is_taken(sample)) {
        parts_->insert(sample);
        late.written(sample);
      }
    }
  });
}

Result<void> LedgerWriter::copy(const std::vector<Rollup>& rollups) {
  return parts_->in_transaction("copy to", [&] {
    for (const Rollup& rollup : rollups) {
      if (!parts_->hours.find(rollup.source, rollup.start)) {
        parts_->hours.put(Span::hour, rollup);
      }
    }
  });
}

Result<void> LedgerWriter::copy_notes(const AgentTick& notes) {
  return parts_->in_transaction("copy to", [&] {
    for (const RateLimitEvent& recovery : notes.recoveries) {
      Parts::insert(parts_->insert_recovery.get(), recovery);
    }
    for (const auto& [source, mark] : notes.marks) {
      parts_->set(source, mark);
    }
  });
}

Result<void> LedgerWriter::mark_central(WallTime since) {
  return parts_->in_transaction("copy to", [&] {
    SQLite::Statement mark(parts_->connection->database(), sql::kSetCentralSince);
    mark.bind(1, to_ms(since));
    mark.exec();
  });
}

Result<std::int64_t> LedgerWriter::prune_older_than(WallTime cutoff, Micros most_guess) {
  std::int64_t total = 0;
  std::int64_t deleted = kRowsAtOnce;
  while (deleted >= kRowsAtOnce) {
    const auto some = parts_->in_transaction("prune", [&] { return prune_hours(parts_->hours, cutoff, most_guess); });
    if (!some) {
      return some;
    }
    deleted = *some;
    total += deleted;
  }
  return total;
}

}  // namespace fleetledger
