#include "bench/harness/context.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <sqlite3.h>
#include <stdexcept>
#include <vector>

#include "backends/backends.h"
#include "bench/harness/json.h"
#include "bench/harness/store.h"
#include "collector/api/context_json.h"
#include "core/rate_limits.h"

namespace fleetledger::bench {
namespace {

constexpr int kRounds = 31;
constexpr double kMostMs = 20;
constexpr std::chrono::minutes kStep{1};

[[noreturn]] void give_up(const std::string& what) { throw std::runtime_error(what); }

template <typename T>
void expect(const Result<T>& result) {
  if (!result) give_up(result.error().text);
}

double milliseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

/// Gone with this object.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "fleetledger-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) give_up("make a temporary folder");
    path_ = std::filesystem::canonical(name);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The rows of a stretch by SQLite alone.
class Bare {
 public:
  explicit Bare(const std::string& file) {
    if (sqlite3_open_v2(file.c_str(), &handle_, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) give_up("open " + file);
    samples_ = prepare(
        "SELECT ts, source, fl_cpu_us, fl_interval_us FROM resource_samples WHERE ts >= ?1 AND ts < ?2 ORDER BY ts");
    events_ = prepare("SELECT * FROM rate_limit_events WHERE ts >= ?1 AND ts < ?2 ORDER BY ts DESC LIMIT 200");
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;
  ~Bare() {
    for (auto* statement : {samples_, events_}) sqlite3_finalize(statement);
    sqlite3_close(handle_);
  }

  void read(WallTime since, WallTime until) {
    for (auto* statement : {samples_, events_}) {
      sqlite3_bind_int64(statement, 1, since.time_since_epoch().count());
      sqlite3_bind_int64(statement, 2, until.time_since_epoch().count());
      while (sqlite3_step(statement) == SQLITE_ROW) sum_ += sqlite3_column_double(statement, 0);
      sqlite3_reset(statement);
    }
  }

 private:
  sqlite3_stmt* prepare(const char* text) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle_, text, -1, &statement, nullptr) != SQLITE_OK) give_up(sqlite3_errmsg(handle_));
    return statement;
  }

  sqlite3* handle_ = nullptr;
  sqlite3_stmt* samples_ = nullptr;
  sqlite3_stmt* events_ = nullptr;
  double sum_ = 0;  ///< so that what is read is used
};

/// The agents, each with a ledger of a week until `now`: one is written, the others are copies of it.
std::vector<Agent> make_agents(const std::filesystem::path& folder, LedgerStore& store, WallTime now) {
  std::vector<Agent> agents;
  for (int number = 0; number < kContextAgents; ++number) {
    Agent agent;
    const std::string name = fmt::format("agent{}", number);
    const std::string path = folder / name;
    agent.identity = {agent_id(name, path), name, path};
    agent.settings.location = LedgerLocation::agent;
    std::filesystem::create_directories(path + "/.instar");
    agents.push_back(agent);
  }
  const auto file = [&](const Agent& agent) { return store.standing(ledger_of(agent), now).place; };
  expect(fill_ledger(store, ledger_of(agents.front()), now));
  store.release(ledger_of(agents.front()));  // and with it its -wal
  const auto folder_of = [&](const Agent& agent) { return std::filesystem::path(file(agent)).parent_path(); };
  for (std::size_t copy = 1; copy < agents.size(); ++copy) {
    std::filesystem::copy(folder_of(agents.front()), folder_of(agents[copy]), std::filesystem::copy_options::recursive);
  }
  return agents;
}

AgentTick tick_at(WallTime ts) {
  AgentTick tick;
  for (int number = 0; number < kLedgerSources; ++number) {
    Sample sample;
    sample.ts = ts;
    sample.source = number == 0 ? std::string(kAggregateSource) : fmt::format("session:{:08x}", number);
    sample.interval = std::chrono::duration_cast<Micros>(kStep);
    sample.usage = Usage{Micros{1'000'000}};
    tick.samples.push_back(std::move(sample));
  }
  return tick;
}

ContextCost measure() {
  const Folder folder;
  auto store = open_store("sqlite", {.central_directory = folder.path() / "central"});
  expect(store);
  const WallTime now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto agents = make_agents(folder.path(), **store, now);
  RateLimitEvent event{.id = "session-sentinel:1:0", .ts = now - std::chrono::hours{1}, .kind = "throttle"};
  event.source = kSentinelEvents;
  std::vector<std::unique_ptr<Bare>> bare;
  for (const auto& agent : agents) {
    expect((*store)->append(ledger_of(agent), {{}, {event}, std::nullopt}));
    bare.push_back(std::make_unique<Bare>((*store)->standing(ledger_of(agent), now).place));
  }
  const std::vector<std::string> unread(agents.size());
  const ContextQuestion question{.agents = agents, .unread = unread, .whose = agents.size() / 2, .event_id = event.id};
  std::vector<double> walls, cpus, bares;
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& agent : agents) {
      expect((*store)->append(ledger_of(agent), tick_at(now + kStep * (round + 1))));
    }
    const double wall = milliseconds(CLOCK_MONOTONIC);
    const double cpu = milliseconds(CLOCK_THREAD_CPUTIME_ID);
    const auto context = rate_limit_context(**store, question);
    expect(context);
    if (!*context) give_up("the event is not found");
    const auto json = fleetledger::context_json(**context, agents, question.whose, ContextReader::operators);
    cpus.push_back(milliseconds(CLOCK_THREAD_CPUTIME_ID) - cpu);
    walls.push_back(milliseconds(CLOCK_MONOTONIC) - wall);
    if ((*context)->agents.back().sources.size() != kLedgerSources - 1) give_up("not every session is found");
    const double before = milliseconds(CLOCK_THREAD_CPUTIME_ID);
    for (const auto& ledger : bare) ledger->read((*context)->since, (*context)->until + kLongestRow);
    bares.push_back(milliseconds(CLOCK_THREAD_CPUTIME_ID) - before);
  }
  std::int64_t rows = 0;
  for (const auto& agent : agents) {
    const auto counted = (*store)->sample_count(ledger_of(agent));
    expect(counted);
    rows += *counted;
  }
  return {rows, spread_of(std::move(walls)), spread_of(std::move(cpus)), spread_of(std::move(bares))};
}

}  // namespace

Result<ContextCost> measure_context() {
  try {
    return measure();
  } catch (const std::exception& thrown) {
    return fail(std::string("measure the context of a rate limit: ") + thrown.what());
  }
}

std::string context_table(const ContextCost& cost) {
  auto text = fmt::format("What ran before a rate limit: {} agents, {} rows; ms a question\n\n{}\n", kContextAgents,
                          cost.rows, "WHAT                              MEDIAN    LEAST  GREATEST   x BARE");
  const auto line = [&](const char* name, const Spread& spread) {
    text += fmt::format("{:<30}{:>10.3f} {:>8.3f} {:>9.3f} {:>8.2f}\n", name, spread.median, spread.least,
                        spread.greatest, spread.median / cost.bare_statements.median);
  };
  line("until it is answered", cost.wall);
  line("CPU of it", cost.cpu);
  line("CPU of bare statements", cost.bare_statements);
  return text;
}

std::string context_json(const ContextCost& cost) {
  JsonWriter json;
  json.object().field("agents", kContextAgents).field("rows", cost.rows);
  spread_field(json, "wallMs", cost.wall);
  spread_field(json, "cpuMs", cost.cpu);
  spread_field(json, "bareCpuMs", cost.bare_statements);
  bars_field(json, context_bars(cost));
  json.end();
  return json.take();
}

std::vector<Bar> context_bars(const ContextCost& cost) {
  return {{.what = "what ran before a rate limit, until it is answered",
           .value = cost.wall.median,
           .bar = kMostMs,
           .kind = Bar::Kind::at_most,
           .unit = "ms"}};
}

}  // namespace fleetledger::bench
