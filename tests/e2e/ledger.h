#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fleetledger::e2e {

/// One row of resource_samples.
struct Row {
  std::int64_t ts = 0;
  std::string source;
  std::int64_t pid = 0;
  double cpu_percent = 0;
  std::int64_t rss_bytes = 0;
  std::optional<std::int64_t> cpu_us;
  std::optional<std::int64_t> interval_us;
  std::optional<std::int64_t> processes;
};

/// Where an agent's ledger is, its place being the agent's own.
[[nodiscard]] std::string ledger_file(const std::string& agent_path);

/// All rows, oldest first; none while there is no ledger. Read only, by SQLite alone, as another program would.
[[nodiscard]] std::vector<Row> read_rows(const std::string& agent_path);

/// The moments of its aggregate rows: the ticks that it holds.
[[nodiscard]] std::set<std::int64_t> read_ticks(const std::string& agent_path);

/// Whether SQLite finds nothing wrong with the file.
[[nodiscard]] bool is_intact(const std::string& agent_path);

}  // namespace fleetledger::e2e
