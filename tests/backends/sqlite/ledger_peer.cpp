// Another process at a ledger, for tests that need one.
//   ledger_peer plain FILE COUNT       COUNT times: opens the file, writes a sample, closes it
//   ledger_peer store AGENT_PATH       appends ticks through our store until it is killed; a '.' per committed tick

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unistd.h>

#include "backends/backends.h"
#include "tests/backends/sqlite/plain_sqlite.h"

namespace fleetledger::test {
namespace {

int write_plainly(const std::string& file, int count) {
  for (int index = 0; index < count; ++index) {
    PlainDatabase(file).run(upstream_insert(1000 + index, "peer"));
  }
  return 0;
}

int write_for_ever(const std::string& agent_path) {
  const auto store = open_store("sqlite", {});
  const LedgerKey ledger{{agent_id("peer", agent_path), "peer", agent_path}, LedgerLocation::agent};
  for (std::int64_t ts = 1000;; ++ts) {
    AgentTick tick;
    for (const char* source : {"a", "b", "c"}) {
      Sample sample;
      sample.ts = WallTime{std::chrono::milliseconds{ts}};
      sample.source = source;
      tick.samples.push_back(sample);
    }
    const auto done = (*store)->append(ledger, tick);
    if (!done && done.error().kind != Error::Kind::busy) {
      std::fprintf(stderr, "%s\n", done.error().text.c_str());
      return 1;
    }
    if (done && ::write(STDOUT_FILENO, ".", 1) != 1) {
      return 1;
    }
  }
}

}  // namespace
}  // namespace fleetledger::test

int main(int count, char** arguments) {
  try {
    const std::string_view what = count > 2 ? arguments[1] : "";
    if (what == "plain" && count == 4) {
      return fleetledger::test::write_plainly(arguments[2], std::atoi(arguments[3]));
    }
    if (what == "store") {
      return fleetledger::test::write_for_ever(arguments[2]);
    }
  } catch (const std::exception& thrown) {
    std::fprintf(stderr, "%s\n", thrown.what());
    return 1;
  }
  return 2;
}
