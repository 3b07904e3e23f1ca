#include "core/rate_limits.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <memory>

#include "backends/backends.h"
#include "tests/backends/ledgers.h"

using namespace fleetledger;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

const WallTime kThen{std::chrono::milliseconds{1'790'000'000'000}};

RateLimitEvent event(const std::string& kind, WallTime ts = kThen, const std::string& account = "default",
                     int number = 0) {
  const std::string source(kind == "circuit-open" ? kBreakerEvents : kSentinelEvents);
  return {.id = source + ":" + std::to_string(ts.time_since_epoch().count()) + ":" + std::to_string(number),
          .ts = ts,
          .kind = kind,
          .source = source,
          .account_key = account};
}

/// A row that ended at `ts`, of `length`, in which its source used `cpu`.
Sample row(const std::string& source, WallTime ts, seconds length, seconds cpu) {
  return {.ts = ts, .source = source, .usage = Usage{cpu}, .interval = length};
}

struct Fleet {
  std::unique_ptr<LedgerStore> store = std::move(*open_store("memory", {}));
  std::vector<Agent> agents;
  std::vector<std::string> unread;

  std::size_t add(const std::string& name) {
    Agent agent;
    agent.identity = {agent_id(name, "/" + name), name, "/" + name};
    agents.push_back(agent);
    unread.emplace_back();
    return agents.size() - 1;
  }
  void write(std::size_t agent, std::vector<Sample> samples, std::vector<RateLimitEvent> events = {}) {
    AgentTick tick{std::move(samples), std::move(events), std::nullopt};
    REQUIRE(store->append(ledger_of(agents[agent]), tick));
  }
  [[nodiscard]] ContextQuestion question(std::size_t whose, const std::string& id) const {
    return {.agents = agents, .unread = unread, .whose = whose, .event_id = id};
  }
  RateLimitContext ask(std::size_t whose, const std::string& id) {
    const auto context = rate_limit_context(*store, question(whose, id));
    REQUIRE(context);
    REQUIRE(*context);
    return **context;
  }
};

const SourceActivity& source(const AgentContext& agent, const std::string& name) {
  const auto found = std::find_if(agent.sources.begin(), agent.sources.end(),
                                  [&name](const SourceActivity& source) { return source.source == name; });
  REQUIRE(found != agent.sources.end());
  return *found;
}

}  // namespace

TEST_CASE("an account's quota and a server's throttling are told apart, and of a breaker neither is said") {
  CHECK(limit_of(event("quota")) == Limit::account);
  CHECK(limit_of(event("529")) == Limit::server);
  CHECK(limit_of(event("throttle")) == Limit::server);
  for (const auto* kind : {"circuit-open", "circuit-recover", "", "Quota", "throttle-resuming", "5290"}) {
    CAPTURE(kind);
    CHECK(limit_of(event(kind)) == Limit::unknown);
  }
  CHECK(to_string(Limit::account) == "account");
  CHECK(to_string(Limit::server) == "server");
  CHECK(to_string(Limit::unknown) == "unknown");
}

TEST_CASE("two accounts that are not known are not the same account, nor two different ones") {
  const auto account = [](const std::string& key) { return event("quota", kThen, key); };
  CHECK(same_account(account("default"), account("default")) == std::nullopt);
  CHECK(same_account(account("default"), account("ada")) == std::nullopt);
  CHECK(same_account(account(""), account("")) == std::nullopt);
  CHECK(same_account(account("ada"), account("ada")) == true);
  CHECK(same_account(account("ada"), account("Ada")) == false);
}

TEST_CASE("a row counts by the share of it that lies in the five minutes, and who used most comes first") {
  Fleet fleet;
  const auto small = fleet.add("small");
  const auto large = fleet.add("large");
  // Its rows overlap both ends: 2 of 4 minutes, a whole one, 1 of 3 minutes.
  fleet.write(small,
              {row("session:a", kThen - minutes{3}, minutes{4}, seconds{40}),
               row("session:a", kThen - minutes{1}, minutes{2}, seconds{30}),
               row("session:a", kThen + minutes{2}, minutes{3}, seconds{9}),
               row("session:old", kThen - minutes{5}, minutes{1}, seconds{50}),
               row("session:next", kThen + minutes{1}, minutes{1}, seconds{50}),
               row("aggregate", kThen - minutes{1}, minutes{4}, seconds{999})},
              {event("throttle")});
  fleet.write(large,
              {row("agent-server", kThen, minutes{5}, seconds{1}), row("orphans", kThen, minutes{5}, seconds{2}),
               row("session:b", kThen, minutes{5}, seconds{100}), row("session:c", kThen, minutes{1}, seconds{0})});
  const auto context = fleet.ask(small, event("throttle").id);
  CHECK(context.since == kThen - minutes{5});
  CHECK(context.until == kThen);
  REQUIRE(context.agents.size() == 2);
  const auto& first = context.agents[0];
  CHECK(first.agent == large);
  CHECK(first.usage == Usage{seconds{103}});
  CHECK(first.sessions == 2);
  CHECK(first.sources.size() == 4);
  CHECK(first.measured == Micros{minutes{5}});
  const auto& second = context.agents[1];
  CHECK(second.agent == small);
  CHECK(second.sessions == 1);
  REQUIRE(second.sources.size() == 1);
  CHECK(source(second, "session:a").usage == Usage{seconds{20 + 30 + 3}});
  CHECK(source(second, "session:a").measured == Micros{minutes{5}});
  CHECK(second.usage == Usage{seconds{53}});
}

TEST_CASE("what ran and did not say how much is unknown, not nothing, and comes last") {
  Fleet fleet;
  const auto metered = fleet.add("metered");
  const auto foreign = fleet.add("foreign");
  fleet.write(metered, {row("session:a", kThen, minutes{1}, seconds{0})}, {event("529")});
  auto unknown = row("session:b", kThen - minutes{1}, minutes{1}, seconds{0});
  unknown.usage.reset();
  unknown.interval.reset();
  fleet.write(foreign, {unknown});
  const auto context = fleet.ask(metered, event("529").id);
  REQUIRE(context.agents.size() == 2);
  CHECK(context.agents[0].agent == metered);
  CHECK(context.agents[0].usage == Usage{});
  CHECK(context.agents[1].usage == std::nullopt);
  CHECK(context.agents[1].sessions == 1);
  CHECK(source(context.agents[1], "session:b").usage == std::nullopt);
}

TEST_CASE("the other events of the stretch are there, of every agent, and the one that was asked about is not") {
  Fleet fleet;
  const auto mine = fleet.add("mine");
  const auto theirs = fleet.add("theirs");
  const auto asked = event("quota", kThen, "ada");
  fleet.write(mine, {}, {asked, event("throttle", kThen - minutes{5}, "ada"), event("throttle", kThen - minutes{4})});
  // Another agent's event may have the same id.
  fleet.write(theirs, {}, {asked, event("circuit-open", kThen + seconds{1})});
  const auto context = fleet.ask(mine, asked.id);
  CHECK(context.event == asked);
  REQUIRE(context.agents.size() == 2);
  REQUIRE(context.agents[0].events.size() == 1);
  CHECK(context.agents[0].events[0].ts == kThen - minutes{4});
  REQUIRE(context.agents[1].events.size() == 1);
  CHECK(context.agents[1].events[0] == asked);
}

TEST_CASE("an account is shared where events of several agents name it") {
  Fleet fleet;
  const auto mine = fleet.add("mine");
  const auto theirs = fleet.add("theirs");
  const auto third = fleet.add("third");
  const auto asked = event("quota", kThen, "ada");
  fleet.write(mine, {}, {asked, event("quota", kThen - seconds{1}, "only mine"), event("quota", kThen - seconds{2})});
  fleet.write(theirs, {},
              {event("quota", kThen - seconds{3}, "ada"), event("quota", kThen - seconds{4}, "ada"),
               event("quota", kThen - seconds{5}, "zoe"), event("quota", kThen - seconds{6})});
  fleet.write(third, {}, {event("quota", kThen - seconds{7}, "zoe"), event("quota", kThen - seconds{8}, "")});
  const auto shared = shared_accounts(fleet.ask(mine, asked.id), mine);
  REQUIRE(shared.size() == 2);
  CHECK(shared[0].key == "ada");
  CHECK(shared[0].agents == std::vector{mine, theirs});
  CHECK(shared[1].key == "zoe");
  CHECK(shared[1].agents == std::vector{theirs, third});
}

TEST_CASE("an event that is not there is nothing, and one of another agent is none of this one's") {
  Fleet fleet;
  const auto mine = fleet.add("mine");
  const auto theirs = fleet.add("theirs");
  fleet.write(theirs, {}, {event("quota")});
  const auto context = rate_limit_context(*fleet.store, fleet.question(mine, event("quota").id));
  REQUIRE(context);
  CHECK_FALSE(*context);
  CHECK(fleet.ask(theirs, event("quota").id).event.kind == "quota");
}

TEST_CASE("a ledger that cannot be read is told, unless it is the one that had the event") {
  const test::Host host;
  Fleet fleet;
  fleet.store = host.store();
  const auto mine = fleet.add("mine");
  const auto torn = fleet.add("torn");
  const auto off = fleet.add("off");
  for (auto& agent : fleet.agents) {
    agent.identity = host.agent(agent.identity.name).agent;
  }
  fleet.write(mine, {row("session:a", kThen, minutes{1}, seconds{3})}, {event("quota")});
  fleet.write(torn, {row("session:b", kThen, minutes{1}, seconds{9})}, {event("quota")});
  fleet.write(off, {row("session:c", kThen, minutes{1}, seconds{9})});
  fleet.unread[off] = "switched off";
  fleet.store->release(ledger_of(fleet.agents[torn]));
  std::ofstream(test::place_of(*fleet.store, ledger_of(fleet.agents[torn]))) << std::string(8192, 'x');
  const auto context = fleet.ask(mine, event("quota").id);
  REQUIRE(context.agents.size() == 3);
  CHECK(context.agents[0].agent == mine);
  CHECK(context.agents[0].unread.empty());
  CHECK(context.agents[1].agent == torn);
  CHECK(context.agents[1].unread.find("it is not a database") != std::string::npos);
  CHECK(context.agents[1].sources.empty());
  CHECK(context.agents[2].agent == off);
  CHECK(context.agents[2].unread == "switched off");
  CHECK(context.agents[2].sources.empty());
  CHECK_FALSE(rate_limit_context(*fleet.store, fleet.question(torn, event("quota").id)));
}

TEST_CASE("events in the agent's own ledger that were not copied yet are told too, each once") {
  const test::Host host;
  Fleet fleet;
  fleet.store = host.store();
  const auto mine = fleet.add("mine");
  auto& agent = fleet.agents[mine];
  agent.identity = host.agent("mine").agent;
  agent.settings.location = LedgerLocation::agent;
  // Its own ledger, as its server writes it.
  std::vector<RateLimitEvent> theirs;
  for (int i = 0; i < 5; ++i) {
    theirs.push_back(event("circuit-open", kThen - minutes{i}, "default", i));
  }
  fleet.write(mine, {}, theirs);
  agent.settings.location = LedgerLocation::central;
  const auto ledger = ledger_of(agent);
  const auto since = kThen - minutes{3};
  fleet.write(mine, {row("session:a", kThen, minutes{5}, seconds{7})}, {event("throttle", kThen - minutes{1})});
  const auto told = [&] {
    const auto report = report_with_uncopied(*fleet.store, ledger, since);
    REQUIRE(report);
    return *report;
  };
  const auto check_all = [&](const RateLimitReport& report) {
    CHECK(report.total == 5);
    REQUIRE(report.by_kind.size() == 2);
    CHECK(report.by_kind[0].kind == "circuit-open");
    CHECK(report.by_kind[0].count == 4);
    CHECK(report.by_kind[0].first == kThen - minutes{3});
    CHECK(report.by_kind[0].last == kThen);
    CHECK(report.by_kind[1].count == 1);
    REQUIRE(report.events.size() == 5);
    CHECK(report.events[0] == theirs[0]);
    CHECK(report.events[1].ts == kThen - minutes{1});
    CHECK(report.events[4] == theirs[3]);
  };
  CHECK(fleet.store->rate_limit_report(ledger, since)->total == 1);
  check_all(told());

  // Copied in part, copied whole, and copied without the mark being known.
  const auto elsewhere = fleet.store->events_elsewhere(ledger, std::nullopt);
  REQUIRE(elsewhere);
  REQUIRE(elsewhere->events.size() == 5);
  AgentTick copy;
  const bool whole = GENERATE(true, false);
  copy.events = {theirs.begin(), theirs.begin() + (whole ? 5 : 2)};
  copy.marks[std::string(kAgentLedger)] = elsewhere->mark;
  if (!whole) {
    copy.marks[std::string(kAgentLedger)].fingerprint += 1;  // the rows were numbered anew
  }
  REQUIRE(fleet.store->append(ledger, copy));
  check_all(told());

  // Likewise before an event, also one that is not copied.
  auto question = fleet.question(mine, theirs[0].id);
  question.uncopied = true;
  const auto context = rate_limit_context(*fleet.store, question);
  REQUIRE(context);
  REQUIRE(*context);
  CHECK((*context)->event == theirs[0]);
  REQUIRE((*context)->agents.size() == 1);
  CHECK((*context)->agents[0].usage == Usage{seconds{7}});
  CHECK((*context)->agents[0].events.size() == 5);
  question.event_id = theirs[4].id;
  REQUIRE(rate_limit_context(*fleet.store, question));
  CHECK(*rate_limit_context(*fleet.store, question));
  question.event_id = "circuit-breaker:0:0";
  REQUIRE(rate_limit_context(*fleet.store, question));
  CHECK_FALSE(*rate_limit_context(*fleet.store, question));
}
