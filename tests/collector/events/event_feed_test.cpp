#include "collector/events/event_feed.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "collector/log.h"
#include "collector/store_lane.h"
#include "tests/support/fake_runtime.h"
#include "tests/support/fake_store.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

/// Agents whose logs are lists of events, read two at a time.
struct Feeding {
  static constexpr std::size_t kAtOnce = 2;

  FakeClock clock;
  FakeRuntime loop{clock};
  FakeStore store;
  StoreLane lane{store, loop.runtime(), clock, [](const LedgerKey&, const StoreLane::Health&) {}};
  Fleet fleet;
  std::map<std::string, std::vector<std::string>> logs;  ///< by the agent's path: events, by number
  std::map<std::string, std::uint64_t> inodes;           ///< likewise
  std::vector<std::string> read;                         ///< paths of the logs that were looked at
  std::set<std::string> watched;                         ///< folders
  std::string problem;
  std::map<std::string, std::size_t> recorded;
  std::map<std::string, std::string> places;
  SkippedLines skip{};     ///< what the next reading says
  SkippedLines skipped{};  ///< told
  EventFeed feed{
      {store, [this](const LogQuestion& question) { return read_log(question); },
       [this](const std::string& folder) { return watched.contains(folder); }},
      {.hand_over = [this](const LedgerKey& ledger, AgentTick tick,
                           auto written) { lane.append(ledger, std::move(tick), std::move(written)); },
       .recorded = [this](const AgentIdentity& agent, const auto& events) { recorded[agent.name] += events.size(); },
       .skipped = [this](const AgentIdentity&, const SkippedLines& lines) { skipped = lines; },
       .retention_now = [this] { return clock.wall(); }},
      loop.runtime(),
      clock,
      1000};

  Agent& add(const std::string& name) {
    Agent agent;
    agent.identity = {agent_id(name, "/" + name), name, "/" + name};
    agent.gate.sampling = true;
    fleet.agents.push_back(agent);
    watched.insert("/" + name + "/logs");
    return fleet.agents.back();
  }
  static std::string id(const std::string& name) { return agent_id(name, "/" + name); }

  LogReading read_log(const LogQuestion& question) {
    read.push_back(question.agent_path);
    LogReading reading;
    reading.problem = problem;
    reading.skipped = std::exchange(skip, {});
    const auto& log = logs[question.agent_path];
    const bool is_the_same = question.after && question.after->inode == inodes[question.agent_path];
    std::size_t at = is_the_same ? question.after->offset : 0;
    for (; at < log.size() && reading.events.size() < kAtOnce; ++at) {
      reading.events.push_back({.id = log[at],
                                .ts = FakeClock().wall() - 1h + std::chrono::milliseconds{std::stoi(log[at])},
                                .kind = "throttle",
                                .source = std::string(kSentinelEvents),
                                .detail = log[at]});
    }
    reading.bytes = 100;
    reading.mark = ReadMark{.inode = inodes[question.agent_path], .offset = at, .memory = {}};
    reading.more = at < log.size();
    return reading;
  }
  void check(bool all = false) {
    feed.check(all, [this](const std::string& agent) { return places[agent]; });
  }
  /// Until nothing is under way, timers of at most a few seconds included.
  void settle() {
    for (int round = 0; round < 5; ++round) {
      loop.advance(1s);
      loop.run_jobs();
    }
  }
  /// All events in the ledger, in the order in which they were written.
  [[nodiscard]] std::vector<std::string> written(const std::string& name) {
    std::vector<std::string> details;
    for (const auto& tick : store.written[id(name)]) {
      for (const auto& event : tick.events) details.push_back(event.detail.value_or(event.id));
    }
    return details;
  }
};

using Details = std::vector<std::string>;

}  // namespace

TEST_CASE("logs are read piece by piece, each with its mark, and each event is counted once") {
  Feeding host;
  host.add("a");
  host.add("b").gate.sampling = false;  // off
  host.logs["/a"] = {"1", "2", "3", "4", "5"};
  host.logs["/b"] = {"6"};
  host.feed.adopt(host.fleet);
  CHECK(host.read.empty());  // nothing is done on the loop
  host.settle();
  CHECK(host.written("a") == Details{"1", "2", "3", "4", "5"});
  CHECK(host.written("b") == Details{"6"});
  const auto& ticks = host.store.written[Feeding::id("a")];
  REQUIRE(ticks.size() == 3);
  CHECK(ticks[1].marks.at("sentinel-events").offset == 4);
  CHECK(ticks[1].prune_events_before);
  CHECK(host.recorded == std::map<std::string, std::size_t>{{"a", 5}, {"b", 1}});

  host.logs["/a"].push_back("7");
  host.feed.log_changed("/a/logs");
  host.feed.log_changed("/elsewhere/logs");
  host.settle();
  CHECK(host.written("a").back() == "7");
  CHECK(host.recorded["a"] == 6);
}

TEST_CASE("events of a log that was written anew, and is read again, are counted once") {
  Feeding host;
  host.add("a");
  host.logs["/a"] = {"1", "2", "3"};
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.recorded["a"] == 3);
  host.inodes["/a"] = 7;
  host.logs["/a"] = {"2", "3", "4", "4"};  // a piece without anything new, and one of lines with one id
  host.feed.log_changed("/a/logs");
  host.settle();
  CHECK(host.written("a") == Details{"1", "2", "3", "2", "3", "4", "4"});  // the ledger leaves those it has
  CHECK(host.recorded["a"] == 4);
}

TEST_CASE("a log that is watched is not looked at before something is told of it, others are at each check") {
  Feeding host;
  host.add("a");
  host.add("b");
  host.watched.erase("/b/logs");
  host.feed.adopt(host.fleet);
  host.settle();
  host.read.clear();
  host.check();
  host.settle();
  CHECK(host.read == Details{"/b"});
  host.check();
  host.check();
  host.settle();
  CHECK(host.read == Details{"/b", "/b"});
  host.read.clear();
  host.check(true);
  host.settle();
  CHECK(std::set<std::string>(host.read.begin(), host.read.end()) == std::set<std::string>{"/a", "/b"});
}

TEST_CASE("many changes are one reading, and one while it is read is another") {
  Feeding host;
  host.add("a");
  host.feed.adopt(host.fleet);
  host.settle();
  host.read.clear();
  for (int i = 0; i < 100; ++i) host.feed.log_changed("/a/logs");
  host.loop.advance(60ms);
  REQUIRE(host.loop.jobs.size() == 1);
  host.logs["/a"] = {"1"};
  host.feed.log_changed("/a/logs");
  host.feed.log_changed("/a/logs");
  host.settle();
  CHECK(host.read.size() == 2);
  CHECK(host.written("a") == Details{"1"});
}

TEST_CASE("so many agents are read at a time, whatever their logs take") {
  Feeding host;
  for (const auto* name : {"a", "b", "c", "d"}) {
    host.add(name);
    host.logs["/" + std::string(name)] = {"1", "2", "3"};
  }
  host.feed.adopt(host.fleet);
  host.loop.advance(1s);
  CHECK(host.loop.jobs.size() == EventFeed::kAtOnce);
  CHECK(host.feed.reading());
  host.settle();
  CHECK_FALSE(host.feed.reading());
  for (const auto* name : {"a", "b", "c", "d"}) CHECK(host.written(name).size() == 3);
}

TEST_CASE("while a piece is not written the next one is not read; one that is dropped is read again") {
  Feeding host;
  host.add("a");
  host.logs["/a"] = {"1", "2", "3"};
  bool broken = true;
  host.store.before_append = [&](const LedgerKey&) -> Result<void> {
    if (broken) return fail("locked", Error::Kind::busy);
    return {};
  };
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.read.size() == 1);
  host.feed.log_changed("/a/logs");
  host.settle();
  CHECK(host.read.size() == 1);
  for (std::size_t i = 0; i < StoreLane::kQueueLength; ++i) {
    host.lane.append(ledger_of(host.fleet.agents[0]), AgentTick{});
  }
  CHECK(host.lane.dropped() > 0);
  CHECK(host.recorded.empty());
  broken = false;
  host.loop.advance(20s);
  host.settle();
  host.check();
  host.settle();
  CHECK(host.written("a") == Details{"1", "2", "3"});
  CHECK(host.recorded["a"] == 3);
}

TEST_CASE("a ledger that does not say how far its sources are read is asked again at the next check") {
  Feeding host;
  host.add("a");
  host.logs["/a"] = {"1"};
  host.store.before_read = [] { return fail("locked", Error::Kind::busy); };
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.read.empty());
  host.store.before_read = {};
  host.settle();
  CHECK(host.read.empty());
  host.check();
  host.settle();
  CHECK(host.written("a") == Details{"1"});
}

TEST_CASE("after a restart what the ledger has is not read again") {
  Feeding host;
  host.add("a");
  host.logs["/a"] = {"1", "2", "3"};
  host.store.written[Feeding::id("a")].push_back(
      {{}, {}, std::nullopt, {}, {{"sentinel-events", {.offset = 2, .memory = {}}}}});
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.written("a") == Details{"3"});
}

TEST_CASE("agents whose ledger is disabled, who left, or whose feed is closed are left alone") {
  Feeding host;
  host.add("a").gate = {.ledger = false, .sampling = false};
  host.add("b");
  host.logs["/a"] = host.logs["/b"] = {"1"};
  host.feed.adopt(host.fleet);
  host.loop.advance(1s);
  REQUIRE(host.loop.jobs.size() == 1);
  host.fleet.agents.pop_back();
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.read == Details{"/b"});
  CHECK(host.store.written.empty());

  host.fleet.agents[0].gate.ledger = true;
  host.feed.adopt(host.fleet);
  host.loop.advance(1s);
  host.feed.close();
  host.settle();
  CHECK(host.store.written.empty());
  CHECK_FALSE(host.feed.reading());
}

TEST_CASE("a mark without events is kept when much was read, or the log is another one") {
  Feeding host;
  host.add("a");
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.store.written.empty());  // no ledger for an agent that was never throttled
  for (int i = 0; i < 5; ++i) {
    host.feed.log_changed("/a/logs");
    host.settle();
  }
  CHECK(host.store.written.empty());
  host.inodes["/a"] = 7;
  host.feed.log_changed("/a/logs");
  host.settle();
  REQUIRE(host.store.written[Feeding::id("a")].size() == 1);
  CHECK(host.store.written[Feeding::id("a")][0].marks.at("sentinel-events").inode == 7);
}

TEST_CASE("events of a ledger apart are copied, and looked for again once a minute") {
  Feeding host;
  auto& agent = host.add("a");
  agent.settings.upstream_event_retention = 24h;
  const auto event = [&](const std::string& event_id, std::chrono::hours age) {
    return RateLimitEvent{
        .id = event_id, .ts = host.clock.wall_now - age, .kind = "circuit-open", .source = std::string(kBreakerEvents)};
  };
  host.store.elsewhere = {event("1", 1h), event("2", 25h), event("3", 1h), event("4", 1h)};
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.written("a") == Details{"1", "3", "4"});
  CHECK(host.recorded.empty());  // the agent's own server counts those
  host.store.elsewhere.push_back(event("5", 1h));
  host.check();
  host.settle();
  CHECK(host.written("a").size() == 3);
  host.loop.advance(1min);
  host.check();
  host.settle();
  CHECK(host.written("a").back() == "5");
}

TEST_CASE("behind rows of a ledger apart that say nothing, events were never read") {
  Feeding host;
  host.add("a");
  host.store.elsewhere.resize(5);
  host.store.elsewhere.push_back({.id = "1", .ts = host.clock.wall_now, .kind = "x", .source = "circuit-breaker"});
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.written("a") == Details{"1"});
}

TEST_CASE("when samples come to lie apart while we run, events are copied from then on") {
  Feeding host;
  host.add("a");
  host.feed.adopt(host.fleet);
  host.settle();
  host.store.elsewhere = {{.id = "1", .ts = host.clock.wall_now, .kind = "circuit-open", .source = "circuit-breaker"}};
  host.check();
  host.settle();
  CHECK(host.written("a").empty());
  host.places[Feeding::id("a")] = "/central";
  host.check();
  host.settle();
  CHECK(host.written("a") == Details{"1"});
}

TEST_CASE("what cannot be read is told, and what is skipped is counted") {
  Feeding host;
  host.add("a");
  host.problem = "sentinel-events.jsonl: it is a FIFO";
  host.skip[static_cast<std::size_t>(SkippedLine::not_json)] = 3;
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(host.feed.problem(Feeding::id("a")) == host.problem);
  CHECK(host.feed.problem("b").empty());
  CHECK(host.skipped[static_cast<std::size_t>(SkippedLine::not_json)] == 3);
  host.problem.clear();
  host.check(true);
  host.settle();
  CHECK(host.feed.problem(Feeding::id("a")).empty());
}

TEST_CASE("what was said of an agent that left was remembered for ever") {
  Feeding host;
  host.add("a");
  host.add("b");
  host.problem = "sentinel-events.jsonl: it is a FIFO";
  const auto before = log::remembered();
  host.feed.adopt(host.fleet);
  host.settle();
  CHECK(log::remembered() == before + 2);
  host.fleet.agents.pop_back();
  host.feed.adopt(host.fleet);
  CHECK(log::remembered() == before + 1);
  host.fleet.agents.clear();
  host.feed.adopt(host.fleet);
  CHECK(log::remembered() == before);
}

TEST_CASE("the events of an agent that is not metered are pruned once a day") {
  Feeding host;
  host.add("off").gate.sampling = false;
  host.logs["/off"] = {"1"};
  host.feed.adopt(host.fleet);
  host.settle();
  auto& ticks = host.store.written[Feeding::id("off")];
  REQUIRE(ticks.size() == 1);
  host.check();
  host.settle();
  CHECK(ticks.size() == 1);
  host.loop.advance(24h);
  host.check();
  host.settle();
  REQUIRE(ticks.size() == 2);
  CHECK(ticks[1].events.empty());
  CHECK(ticks[1].prune_events_before > ticks[0].prune_events_before);
}

TEST_CASE("agents whose disk keeps their reading waiting take no turn from others, up to a number of them") {
  Feeding host;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < EventFeed::kMostJobs + 1; ++i) names.push_back("a" + std::to_string(i));
  for (const auto& name : names) {
    host.add(name);
    host.logs["/" + name] = {"1"};
  }
  host.feed.adopt(host.fleet);
  host.loop.advance(EventFeed::kSettle);
  CHECK(host.loop.jobs.size() == EventFeed::kAtOnce);  // none of them is done: the disks hang
  CHECK(host.feed.problem(Feeding::id("a0")).empty());
  for (std::size_t round = 1; round <= EventFeed::kLate / EventFeed::kAtOnce; ++round) {
    host.loop.advance(EventFeed::kIsLate);
    CHECK(host.loop.jobs.size() == (round + 1) * EventFeed::kAtOnce);
  }
  CHECK(host.feed.problem(Feeding::id("a0")) == "the disk does not answer");
  host.loop.advance(EventFeed::kIsLate);
  CHECK(host.loop.jobs.size() == EventFeed::kMostJobs);
  CHECK(host.feed.reading());

  host.loop.run_job(EventFeed::kMostJobs - 1);
  CHECK(host.loop.jobs.size() >= EventFeed::kMostJobs);  // the last one has its turn, after what that one has to write
  host.settle();
  for (const auto& name : names) {
    CHECK(host.written(name) == Details{"1"});
    CHECK(host.feed.problem(Feeding::id(name)).empty());
  }
  CHECK_FALSE(host.feed.reading());
}

TEST_CASE("readings that were late while too many others were held their turns for as long as their disks hung") {
  Feeding host;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < EventFeed::kMostJobs + EventFeed::kAtOnce; ++i) names.push_back("a" + std::to_string(i));
  for (const auto& name : names) {
    host.add(name);
    host.logs["/" + name] = {"1"};
  }
  host.feed.adopt(host.fleet);
  host.loop.advance(EventFeed::kSettle);
  for (std::size_t jobs = 0; jobs < EventFeed::kMostJobs; jobs += EventFeed::kAtOnce) {
    host.loop.advance(EventFeed::kIsLate);
  }
  REQUIRE(host.loop.jobs.size() == EventFeed::kMostJobs);
  for (std::size_t i = 0; i < EventFeed::kLate; ++i) host.loop.run_job(0);
  // Those in the turns still hang, as the first of the jobs now.
  host.loop.advance(EventFeed::kIsLate);
  while (host.loop.jobs.size() > EventFeed::kAtOnce) host.loop.run_job(EventFeed::kAtOnce);
  for (std::size_t i = EventFeed::kMostJobs; i < names.size(); ++i) CHECK(host.written(names[i]) == Details{"1"});
  CHECK(host.written(names[EventFeed::kLate]).empty());
}
