#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/backends.h"
#include "core/agent.h"
#include "core/ledger_store.h"
#include "tests/support/temp_dir.h"

namespace fleetledger::test {

inline WallTime at(std::int64_t ms) { return WallTime{std::chrono::milliseconds{ms}}; }

/// Some moment; the tests count from it.
inline constexpr std::int64_t kNoon = 1'790'000'000'000;

inline Sample sample(std::int64_t ms, std::string source, double percent = 1.5, std::int64_t resident = 1000) {
  Sample made;
  made.ts = at(ms);
  made.source = std::move(source);
  made.pid = 42;
  made.cpu_percent = percent;
  made.resident = Bytes{resident};
  made.usage = Usage{Micros{15'000}};
  made.interval = Micros{1'000'000};
  made.processes = 3;
  return made;
}

inline RateLimitEvent event(std::int64_t ms, int sequence, std::string kind = "circuit-open",
                            std::string source = "circuit-breaker") {
  RateLimitEvent made;
  made.id = source + ":" + std::to_string(ms) + ":" + std::to_string(sequence);
  made.ts = at(ms);
  made.kind = std::move(kind);
  made.source = std::move(source);
  return made;
}

inline AgentTick tick(std::vector<Sample> samples, std::vector<RateLimitEvent> events = {}) {
  return {std::move(samples), std::move(events), std::nullopt};
}

/// The value of a result; the test fails with its error's text if there is none.
template <typename T>
T must(Result<T> result) {
  INFO((result ? std::string() : result.error().text));
  REQUIRE(result.has_value());
  if constexpr (!std::is_void_v<T>) {
    return std::move(*result);
  }
}

/// Where a ledger is: its file, of the SQLite store.
inline std::string place_of(LedgerStore& store, const LedgerKey& ledger) { return store.standing(ledger, {}).place; }

/// The same ledger for tests that write rows without an interval, as if another sampler had: no row is young enough to
/// say that it is on.
inline LedgerKey with_no_other_sampler(LedgerKey ledger) {
  ledger.own_sampler_period = std::chrono::milliseconds{-1};
  return ledger;
}

/// Folders of agents on disk and a place for central ledgers, all gone at the end.
class Host {
 public:
  /// An agent with its .instar folder.
  [[nodiscard]] LedgerKey agent(const std::string& name, LedgerLocation location = LedgerLocation::agent) const {
    const std::string path = std::filesystem::canonical(folder_.path()).string() + "/" + name;
    std::filesystem::create_directories(path + "/.instar");
    return {{agent_id(name, path), name, path}, location};
  }
  [[nodiscard]] StoreOptions options() const { return {.central_directory = folder_ / "state/ledgers"}; }
  [[nodiscard]] std::unique_ptr<LedgerStore> store(std::string_view backend = "sqlite") const {
    return must(open_store(backend, options()));
  }
  [[nodiscard]] std::string path() const { return folder_.path(); }

 private:
  TempDir folder_;
};

}  // namespace fleetledger::test
