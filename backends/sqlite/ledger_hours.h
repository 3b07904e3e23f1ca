#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "backends/rolling.h"
#include "backends/sqlite/schema.h"

namespace SQLite {
class Database;
class Statement;
}  // namespace SQLite

namespace fleetledger {

/// The rows and rollups of one database, within the transaction that is open there. What throws is SQLite's. The
/// database outlives it; its statements are prepared when they are first used and kept.
class SqliteHours final : public WritableLedgerHours {
 public:
  SqliteHours(SQLite::Database& database, const LedgerSchema& schema);
  SqliteHours(const SqliteHours&) = delete;
  SqliteHours& operator=(const SqliteHours&) = delete;
  ~SqliteHours() override;

  [[nodiscard]] RolledTo rolled_to() const override;
  [[nodiscard]] std::optional<WallTime> first_row(WallTime from) const override;
  [[nodiscard]] std::optional<WallTime> first_rollup(WallTime from) const override;
  [[nodiscard]] std::optional<WallTime> last_rollup() const override;
  [[nodiscard]] std::optional<WallTime> row_before(const std::string& source, WallTime ts) const override;
  void rows(const Stretch& stretch, const std::function<void(const Sample&)>& visit) const override;
  void rollups(Span span, const Stretch& stretch, const std::function<void(const Rollup&)>& visit) const override;

  // Only where the schema is complete.
  void set_rolled_to(const RolledTo& rolled) override;
  void rows_before_changed() override;
  [[nodiscard]] std::optional<Rollup> find(const std::string& source, WallTime hour) const override;
  void put(Span span, const Rollup& rollup) override;
  std::int64_t remove_rows(WallTime end, std::int64_t most) override;
  void remove_rollups(WallTime end) override;

  /// Of the rows that we wrote, not the agent's own sampler: as first_row and remove_rows.
  [[nodiscard]] std::optional<WallTime> first_row_of_ours() const;
  std::int64_t remove_rows_of_ours(WallTime end, std::int64_t most);
  /// How large the database is, and how much of that it uses: all but its free pages.
  [[nodiscard]] Bytes size() const;
  [[nodiscard]] Bytes used() const;
  /// The share of rows that are ours, from 0 to 1; it costs a look at each.
  [[nodiscard]] double our_share() const;

  /// When the newest row was, also if only its hour's rollup is left.
  [[nodiscard]] std::optional<WallTime> newest() const;

  /// A writing transaction has begun: what is known of the last one holds as long as nobody else has written.
  /// `ended_well`: the last one was committed. Whether it holds.
  bool begin(bool ended_well);
  /// It is committed.
  void committed();

  /// The rows of hours that are rolled: as long as the rest of this is the same, so is their number, but for what
  /// others write into the past.
  struct SettledRows {
    WallTime until{};
    std::optional<WallTime> oldest;
    WallTime changes{};  ///< a count
    std::int64_t rows = 0;

    [[nodiscard]] bool same_as(const SettledRows& other) const {
      return until == other.until && oldest == other.oldest && changes == other.changes;
    }
  };
  [[nodiscard]] SettledRows settled_rows(const std::optional<SettledRows>& known) const;
  [[nodiscard]] std::int64_t rows_from(WallTime moment) const;

  /// A prepared statement takes several KiB: forgets those that are not run with every append.
  void forget_rare_statements();

 private:
  /// The statement with this text, reset.
  [[nodiscard]] SQLite::Statement& prepared(const std::string& text) const;
  [[nodiscard]] WallTime mark(const char* name) const;
  void set_mark(const char* name, WallTime value);
  /// What a statement that gives one number gives.
  [[nodiscard]] std::int64_t count(const char* statement) const;
  /// Another one whenever this or another connection has changed the database; nothing where SQLite does not say it.
  [[nodiscard]] std::optional<std::uint32_t> data_version() const;

  SQLite::Database& database_;
  const LedgerSchema schema_;
  std::optional<std::uint32_t> data_version_;  ///< after our last commit
  mutable std::int64_t page_size_ = 0;         ///< 0: not asked yet
  bool writing_ = false;                       ///< what follows is kept for the next transaction
  mutable std::optional<RolledTo> rolled_;
  mutable std::optional<std::optional<WallTime>> last_;
  mutable std::map<std::string, std::unique_ptr<SQLite::Statement>> statements_;  ///< by their texts
};

}  // namespace fleetledger
