// Another process at a ledger, for tests that need one.
//   ledger_peer plain FILE COUNT       COUNT times: opens the file, writes a sample, closes it
//   ledger_peer store AGENT_PATH       appends ticks through our store until it is killed; a '.' per committed tick
//   ledger_peer sampler FILE TS STEP   is an agent's own sampler: opens the file once, writes three rows a tick with
//                                      moments from TS on in steps of STEP ms, prunes; a '.' per committed tick
//   ledger_peer leave FILE UID         as user UID: makes a ledger of three checkpointed rows and three more in its
//   -wal,
//                                      and ends without closing it
//   ledger_peer count AGENT_PATH UID   as user UID: ends with how many samples our store finds there, or with 200
//   ledger_peer append AGENT_PATH CENTRAL LOCATION TS N    appends a tick at TS through our store, prunes what is two
//                                      hours older; is killed when SQLite is about to run its Nth statement. Ends with
//                                      0 if that never came

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <grp.h>
#include <sqlite3.h>
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
      sample.interval = Micros{1000};
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

int sample_for_ever(const std::string& file, std::int64_t ts, std::int64_t step) {
  PlainDatabase database(file);
  database.run(kUpstreamSchema);
  for (;; ts += step) {
    database.run("BEGIN;" + upstream_insert(ts, "agent-server") + upstream_insert(ts, "session:x") +
                 upstream_insert(ts, "aggregate", "0") + "COMMIT;");
    database.run("DELETE FROM resource_samples WHERE ts < " + std::to_string(ts - kUpstreamRetentionMs));
    if (::write(STDOUT_FILENO, ".", 1) != 1) {
      return 1;
    }
  }
}

void become(const char* user) {
  const auto uid = static_cast<uid_t>(std::atoll(user));
  if (uid != ::geteuid() && (::setgroups(0, nullptr) != 0 || ::setuid(uid) != 0)) {
    throw std::runtime_error("cannot become that user");
  }
}

int leave_behind(const std::string& file) {
  PlainDatabase database(file);
  const auto rows = upstream_insert(1000, "a") + upstream_insert(1000, "b") + upstream_insert(1000, "c");
  database.run(kUpstreamSchema + rows + "PRAGMA wal_checkpoint(TRUNCATE);" + rows);
  ::_exit(0);
}

int count_samples(const std::string& agent_path) {
  const auto store = open_store("sqlite", {});
  const auto count =
      (*store)->sample_count({{agent_id("peer", agent_path), "peer", agent_path}, LedgerLocation::agent});
  if (!count) {
    std::fprintf(stderr, "%s\n", count.error().text.c_str());
    return 200;
  }
  return static_cast<int>(*count);
}

std::int64_t statements_left = 0;

int die_in_time(unsigned /*type*/, void* /*context*/, void* /*statement*/, void* /*text*/) {
  if (--statements_left == 0) {
    ::kill(::getpid(), SIGKILL);
  }
  return 0;
}

int watch_statements(sqlite3* database, const char** /*error*/, const sqlite3_api_routines* /*api*/) {
  return sqlite3_trace_v2(database, SQLITE_TRACE_STMT, die_in_time, nullptr);
}

int append_until_killed(const std::string& agent_path, const std::string& central, std::string_view location,
                        std::int64_t ts, std::int64_t left) {
  statements_left = left;
  sqlite3_auto_extension(reinterpret_cast<void (*)()>(watch_statements));
  const auto store = open_store("sqlite", {.central_directory = central});
  const LedgerKey ledger{{agent_id("peer", agent_path), "peer", agent_path},
                         location == "auto" ? LedgerLocation::automatic : LedgerLocation::agent};
  AgentTick tick;
  tick.samples.emplace_back();
  tick.samples.back().ts = WallTime{std::chrono::milliseconds{ts}};
  tick.samples.back().source = kServerSource;
  tick.samples.back().interval = Micros{1000};
  tick.events.push_back({.id = "session-sentinel:1:1", .ts = tick.samples.back().ts, .kind = "throttle"});
  tick.prune_samples_before = tick.samples.back().ts - std::chrono::hours{2};
  const auto done = (*store)->append(ledger, tick);
  if (!done) {
    std::fprintf(stderr, "%s\n", done.error().text.c_str());
    return 1;
  }
  return done->other_sampler ? 0 : 3;
}

}  // namespace
}  // namespace fleetledger::test

int main(int count, char** arguments) {
  try {
    const std::string_view what = count > 2 ? arguments[1] : "";
    if (what == "plain" && count == 4) {
      return fleetledger::test::write_plainly(arguments[2], std::atoi(arguments[3]));
    }
    if (what == "sampler" && count == 5) {
      return fleetledger::test::sample_for_ever(arguments[2], std::atoll(arguments[3]), std::atoll(arguments[4]));
    }
    if (what == "leave" && count == 4) {
      fleetledger::test::become(arguments[3]);
      return fleetledger::test::leave_behind(arguments[2]);
    }
    if (what == "count" && count == 4) {
      fleetledger::test::become(arguments[3]);
      return fleetledger::test::count_samples(arguments[2]);
    }
    if (what == "append" && count == 7) {
      return fleetledger::test::append_until_killed(arguments[2], arguments[3], arguments[4], std::atoll(arguments[5]),
                                                    std::atoll(arguments[6]));
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
