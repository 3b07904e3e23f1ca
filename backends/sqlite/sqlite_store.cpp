#include "backends/sqlite/sqlite_store.h"

#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "backends/backends.h"
#include "backends/sqlite/ledger_place.h"
#include "backends/sqlite/ledger_reader.h"
#include "backends/sqlite/ledger_writer.h"

namespace fleetledger {
namespace {

class SqliteStore final : public LedgerStore {
 public:
  explicit SqliteStore(StoreOptions options) : options_(std::move(options)) {}

  Result<void> append(const LedgerKey& ledger, const AgentTick& tick) override {
    return write(ledger, [&tick](LedgerWriter& writer) { return writer.append(tick); });
  }

  Result<LedgerSummary> summary(const LedgerKey& ledger, WallTime since) override {
    return reader(ledger).summary(since);
  }

  Result<std::vector<Sample>> recent_samples(const LedgerKey& ledger, const SampleQuery& query) override {
    return reader(ledger).recent_samples(query);
  }

  Result<std::vector<SourceTrend>> trend(const LedgerKey& ledger, const TrendQuery& query) override {
    return reader(ledger).trend(query);
  }

  Result<std::int64_t> sample_count(const LedgerKey& ledger) override { return reader(ledger).sample_count(); }

  Result<std::optional<WallTime>> newest_sample(const LedgerKey& ledger) override {
    return reader(ledger).newest_sample();
  }

  Result<std::int64_t> prune_older_than(const LedgerKey& ledger, WallTime cutoff) override {
    const auto there = find_ledger(place(ledger));
    if (!there) {
      return fail(there.error());
    }
    if (!*there) {
      return 0;
    }
    return write(ledger, [cutoff](LedgerWriter& writer) { return writer.prune_older_than(cutoff); });
  }

  Result<RateLimitReport> rate_limit_report(const LedgerKey& ledger, WallTime since) override {
    return reader(ledger).rate_limit_report(since);
  }

  [[nodiscard]] std::string describe(const LedgerKey& ledger) const override { return place(ledger).file(); }

  void release(const LedgerKey& ledger) override { forget(place(ledger).file()); }

 private:
  [[nodiscard]] LedgerPlace place(const LedgerKey& ledger) const {
    return ledger_place(ledger, options_.central_directory);
  }

  [[nodiscard]] LedgerReader reader(const LedgerKey& ledger) { return {place(ledger), options_.limit, summaries_}; }

  /// Runs `work` with the ledger's writer, which nobody else has meanwhile.
  template <typename Work>
  std::invoke_result_t<Work, LedgerWriter&> write(const LedgerKey& ledger, const Work& work) {
    const LedgerPlace where = place(ledger);
    std::unique_ptr<LedgerWriter> writer = take(where.file());
    if (writer && writer->moved()) {
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
      keep(where.file(), std::move(writer));
    } else {
      forget(where.file());
    }
    return result;
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
    }
  }

  void forget(const std::string& file) {
    std::unique_ptr<LedgerWriter> writer = take(file);
    const std::lock_guard lock(mutex_);
    writers_.erase(file);
  }

  const StoreOptions options_;
  SummaryCache summaries_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<LedgerWriter>> writers_;  ///< by file; nullptr while it is at work
};

}  // namespace

Result<std::unique_ptr<LedgerStore>> open_sqlite_store(const StoreOptions& options) {
  return std::unique_ptr<LedgerStore>(std::make_unique<SqliteStore>(options));
}

}  // namespace fleetledger
