#include "collector/collector.h"

#include <catch2/catch.hpp>
#include <random>
#include <unistd.h>

#include "tests/support/fake_runtime.h"
#include "tests/support/fake_sources.h"
#include "tests/support/fake_store.h"
#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

constexpr Pid kServer = 100;
constexpr Pid kTmux = 50;

/// A host of processes that the test writes, and agents as their files would tell.
struct Host {
  explicit Host(CollectorOptions the_options = {}) : options(the_options) {}

  CollectorOptions options;
  FakeClock clock;
  FakeRuntime loop{clock};
  FakeProcessSource processes;
  FakePaneSource panes;
  std::shared_ptr<FakeEnvironmentSource> environments = std::make_shared<FakeEnvironmentSource>();
  FakeStore store;
  StoreLane lane{store, loop.runtime(), clock, [](const LedgerKey&, const StoreLane::Health&) {}};
  Fleet fleet;
  std::vector<TickReport> reports;
  int readings = 0;
  bool files_hang = false;
  std::vector<HeapQuestion> heap_questions;
  Result<Bytes> heap = Bytes{42};
  std::function<void(std::shared_ptr<const Fleet>)> hanging;  ///< whom the files' reader is to answer
  Collector collector{{.processes = processes,
                       .panes = panes,
                       .environments = environments,
                       .read_fleet =
                           [this](Depth, auto then) {
                             ++readings;
                             if (files_hang) {
                               hanging = then;
                             } else {
                               then(std::make_shared<const Fleet>(fleet));
                             }
                           },
                       .ledgers = &lane,
                       .clock = clock,
                       .runtime = loop.runtime(),
                       .ask_heap =
                           [this](const HeapQuestion& question) {
                             heap_questions.push_back(question);
                             return heap;
                           },
                       .published = [this](const TickReport& report) { reports.push_back(report); }},
                      options};

  Agent& add_agent(const std::string& name, Pid server) {
    Agent agent;
    agent.identity = {agent_id(name, "/" + name), name, "/" + name};
    agent.gate.sampling = true;
    agent.settings.sample_interval = 10s;
    agent.settings.idle_sample_interval = 50s;
    agent.server_pid = server;
    agent.last_heartbeat = clock.wall_now;
    fleet.agents.push_back(std::move(agent));
    fleet.access.emplace_back();
    ++fleet.version;
    return fleet.agents.back();
  }
  void add_session(Agent& agent, const std::string& id, Pid pane) {
    Session session;
    session.id = id;
    session.name = id;
    session.tmux_session = id;
    agent.live_sessions.push_back(session);
    panes.panes->push_back({.tmux_server = kTmux, .pid = pane, .session = id});
    ++fleet.version;
  }

  /// What the next look shows, beside pid 1 and ourselves.
  void show(std::vector<TreeProcess> tree) {
    tree.push_back({.pid = 1, .name = "init"});
    tree.push_back({.pid = getpid(), .parent = 1, .name = "fleetledger"});
    for (auto& process : tree) {
      process.owner = geteuid();
    }
    processes.next.emplace_back(look(clock.monotonic_now.time_since_epoch(), tree, /*resolution=*/10ms, /*slack=*/0s));
  }
  /// Runs one tick to its end, with what it writes.
  const TickReport& tick() {
    collector.tick();
    loop.run_jobs();
    return reports.back();
  }
};

/// A host with one agent, by its id, of which one row was written.
struct Written : Host {
  std::string id = add_agent("echo", kServer).identity.id;

  Written() {
    show({{.pid = kServer, .parent = 1}});
    tick();
    loop.advance(50s);
    show({{.pid = kServer, .parent = 1, .own = 1s}});
    tick();
    REQUIRE(store.written[id].size() == 1);
  }
  /// Its files are other ones now.
  void reread() {
    ++fleet.version;
    collector.reread_files(Depth::changed);
    loop.run_jobs();
  }
};

const Sample* row(const AgentReport& agent, const std::string& source) {
  for (const auto& sample : agent.samples) {
    if (sample.source == source) {
      return &sample;
    }
  }
  return nullptr;
}

}  // namespace

TEST_CASE("the first look is a baseline, the next deadline writes what was used in between") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.add_session(agent, "s1", 200);
  const auto id = agent.identity.id;
  host.show({{.pid = kServer, .parent = 1, .own = 5s}, {.pid = 200, .parent = kTmux, .own = 1s}});
  const auto& baseline = host.tick();
  CHECK(baseline.number == 0);
  CHECK(baseline.agents.at(0).samples.empty());
  CHECK(host.store.written.empty());

  REQUIRE(host.collector.next_deadline() == host.clock.monotonic_now + 10s);
  host.loop.advance(10s);
  host.show({{.pid = kServer, .parent = 1, .own = 6s},
             {.pid = 200, .parent = kTmux, .own = 1s, .reaped = 4s},
             {.pid = 201, .parent = 200, .own = 1s, .start = 3602s, .resident = Bytes{500}}});
  const auto& first = host.tick();
  CHECK(first.number == 1);
  const auto& echo = first.agents.at(0);
  CHECK(echo.status.state == AgentState::sampling);
  REQUIRE(row(echo, "agent-server") != nullptr);
  CHECK(row(echo, "agent-server")->usage == Usage{1s});
  CHECK(row(echo, "agent-server")->cpu_percent == Approx(10));
  CHECK(row(echo, "session:s1")->usage == Usage{5s});
  CHECK(row(echo, "session:s1")->processes == 2U);
  CHECK(row(echo, "session:s1")->resident == Bytes{1500});
  CHECK(row(echo, "aggregate")->usage == Usage{6s});
  CHECK(row(echo, "aggregate")->cpu_percent == Approx(60));
  CHECK(row(echo, "aggregate")->interval == Micros{10s});
  REQUIRE(host.store.written[id].size() == 1);
  CHECK(host.store.written[id][0].samples == echo.samples);
  CHECK(host.store.written[id][0].prune_samples_before == host.clock.wall_now - 168h);
  CHECK(host.store.written[id][0].prune_events_before == host.clock.wall_now - 90 * 24h);
  CHECK(host.store.written[id][0].prune_upstream_events_before == std::nullopt);
  CHECK(host.store.written[id][0].most_bytes == Bytes{256 << 20});
  CHECK(host.store.written[id][0].prune_rollups_before == host.clock.wall_now - 400 * 24h);
}

TEST_CASE("what an agent left behind before the collector began is its orphan, by its environment") {
  Host host;
  const auto id = host.add_agent("echo", kServer).identity.id;
  CHECK_FALSE(host.collector.explain(1));
  host.environments->says[300] = {"/echo", "", "ended"};
  const std::vector<TreeProcess> before{{.pid = kServer, .parent = 1, .own = 5s},
                                        {.pid = 300, .parent = 1, .own = 60s},
                                        {.pid = 301, .parent = 300, .own = 1s}};
  host.show(before);
  host.tick();
  CHECK(host.environments->asked == std::vector<std::vector<Pid>>{{300, 301}});

  host.loop.advance(50s);
  host.show({{.pid = kServer, .parent = 1, .own = 6s},
             {.pid = 300, .parent = 1, .own = 62s},
             {.pid = 301, .parent = 300, .own = 4s}});
  const auto& echo = host.tick().agents.at(0);
  REQUIRE(row(echo, "orphans") != nullptr);
  CHECK(row(echo, "orphans")->usage == Usage{5s});
  CHECK(row(echo, "orphans")->processes == 2U);
  CHECK(row(echo, "aggregate")->usage == Usage{6s});
  CHECK(host.environments->asked.size() == 1);

  const auto why = host.collector.explain(301);
  REQUIRE(why);
  CHECK(why->ts == host.clock.wall_now);
  CHECK(why->agent_id == id);
  CHECK(why->source == "orphans");
  REQUIRE(why->steps.size() == 2);
  CHECK(why->steps[1].why == Attribution::environment);
  CHECK_FALSE(host.collector.explain(302));
}

TEST_CASE("with scope process no environment is asked for") {
  Host host({.scope = Scope::process});
  host.add_agent("echo", kServer);
  host.show({{.pid = 300, .parent = 1}});
  host.tick();
  CHECK(host.environments->asked.empty());
}

TEST_CASE("the aggregate is exactly the sum of the sources of its tick") {
  AgentReading reading{Micros{7'000'003},
                       {{.source = "agent-server", .pid = 1, .usage = Usage{1us}, .resident = Bytes{3}, .processes = 1},
                        {.source = "session:a", .pid = 2, .usage = Usage{333'333us}, .processes = 4},
                        {.source = "session:b", .pid = 3, .usage = Usage{999'999us}, .resident = Bytes{4}}}};
  const auto samples = to_samples(reading, WallTime{});
  REQUIRE(samples.size() == 4);
  double percent = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    percent += samples[i].cpu_percent;
  }
  CHECK(samples[3].source == "aggregate");
  CHECK(samples[3].pid == 0);
  CHECK(samples[3].cpu_percent == percent);
  CHECK(samples[3].usage == Usage{1'333'333us});
  CHECK(samples[3].resident == Bytes{7});
  CHECK(to_samples({1s, {}}, WallTime{}).empty());
}

TEST_CASE("a failed look leaves the last good one in place: the next covers the longer interval") {
  Host host;
  host.add_session(host.add_agent("echo", kServer), "s1", 200);
  host.show({{.pid = kServer, .parent = 1}, {.pid = 200, .parent = kTmux}});
  host.tick();
  host.loop.advance(10s);
  host.processes.next.emplace_back(fail("ps printed rubbish"));
  const auto& failed = host.tick();
  CHECK(failed.failure->text == "ps printed rubbish");
  CHECK(failed.due);
  CHECK(host.store.written.empty());
  CHECK(host.collector.counters().failed_looks == 1);
  CHECK(*host.collector.next_deadline() > host.clock.monotonic_now);

  host.loop.advance(10s);
  host.show({{.pid = kServer, .parent = 1, .own = 3s}, {.pid = 200, .parent = kTmux}});
  const auto& good = host.tick();
  CHECK(row(good.agents.at(0), "agent-server")->usage == Usage{3s});
  CHECK(row(good.agents.at(0), "agent-server")->interval == Micros{20s});
}

TEST_CASE("an agent that is not due accumulates until its row covers all of its interval") {
  Host host;
  auto& busy = host.add_agent("busy", kServer);
  host.add_session(busy, "s1", 200);
  host.add_agent("idle", 300);
  const auto show = [&](Micros used) {
    host.show({{.pid = kServer, .parent = 1}, {.pid = 200, .parent = kTmux}, {.pid = 300, .parent = 1, .own = used}});
  };
  show(0s);
  host.tick();
  for (int i = 1; i <= 4; ++i) {
    host.loop.advance(10s);
    show(i * 1s);
    CHECK(host.tick().agents.at(1).samples.empty());
  }
  host.loop.advance(10s);
  show(5s);
  const auto& report = host.tick();
  CHECK(row(report.agents.at(1), "agent-server")->usage == Usage{5s});
  CHECK(row(report.agents.at(1), "agent-server")->interval == Micros{50s});
  CHECK(row(report.agents.at(0), "agent-server")->interval == Micros{10s});
}

TEST_CASE("panes are asked for only when they can have changed") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  const auto show = [&](std::vector<TreeProcess> more) {
    more.push_back({.pid = kServer, .parent = 1});
    more.push_back({.pid = kTmux, .parent = 1, .name = "tmux: server"});
    host.show(more);
    host.loop.advance(10s);
    host.tick();
  };
  show({});
  CHECK(host.panes.calls == 0);  // no live session
  host.add_session(agent, "s1", 200);
  show({{.pid = 200, .parent = kTmux}});
  CHECK(host.panes.calls == 1);
  show({{.pid = 200, .parent = kTmux}, {.pid = 201, .parent = 200}});
  CHECK(host.panes.calls == 1);  // the pane's own children are not tmux's
  show({{.pid = 200, .parent = kTmux}, {.pid = 220, .parent = kTmux}});
  CHECK(host.panes.calls == 2);
  host.panes.panes = fail("tmux hangs");
  show({{.pid = 200, .parent = kTmux}, {.pid = 230, .parent = kTmux}});
  CHECK(host.panes.calls == 3);
  CHECK(host.collector.counters().failed_pane_lists == 1);
  show({{.pid = 200, .parent = kTmux}, {.pid = 230, .parent = kTmux}});
  CHECK(host.panes.calls == 4);  // what failed is asked again
  host.panes.panes = std::vector<Pane>{{.tmux_server = kTmux, .pid = 200, .session = "s1"}};
  for (int i = 0; i < 61; ++i) {
    show({{.pid = 200, .parent = kTmux}, {.pid = 230, .parent = kTmux}});
  }
  CHECK(host.panes.calls == 6);  // the one that failed again, and one after ten minutes
}

TEST_CASE("panes are not asked for again when the fleet changes and names the same tmux sessions") {
  Host host;
  host.add_agent("echo", kServer);
  host.add_agent("other", 300);
  auto& agent = host.fleet.agents[0];
  host.add_session(agent, "s1", 200);
  host.add_session(agent, "s2", 201);
  const auto show = [&] {
    host.show({{.pid = kServer, .parent = 1},
               {.pid = kTmux, .parent = 1, .name = "tmux: server"},
               {.pid = 200, .parent = kTmux},
               {.pid = 201, .parent = kTmux}});
    host.loop.advance(10s);
    host.tick();
  };
  show();
  REQUIRE(host.panes.calls == 1);
  agent.last_heartbeat = host.clock.wall_now;
  ++host.fleet.version;
  show();
  CHECK(host.panes.calls == 1);
  std::swap(agent.live_sessions[0].tmux_session, agent.live_sessions[1].tmux_session);
  ++host.fleet.version;
  show();
  CHECK(host.panes.calls == 1);
  host.fleet.agents[1].live_sessions.push_back(agent.live_sessions[0]);  // of both
  ++host.fleet.version;
  show();
  CHECK(host.panes.calls == 1);
  agent.live_sessions.push_back({.id = "nameless", .name = "", .tmux_session = ""});
  ++host.fleet.version;
  show();
  CHECK(host.panes.calls == 1);
  agent.live_sessions.push_back({.id = "s3", .name = "s3", .tmux_session = "s3"});
  ++host.fleet.version;
  show();
  CHECK(host.panes.calls == 2);
}

TEST_CASE("when panes cannot be listed the last good roots stand") {
  Host host;
  host.add_session(host.add_agent("echo", kServer), "s1", 200);
  host.show({{.pid = kServer, .parent = 1},
             {.pid = kTmux, .parent = 1, .name = "tmux: server"},
             {.pid = 200, .parent = kTmux}});
  host.tick();
  host.panes.panes = fail("tmux hangs");
  host.loop.advance(10s);
  host.show({{.pid = kServer, .parent = 1},
             {.pid = kTmux, .parent = 1, .name = "tmux: server"},
             {.pid = 200, .parent = kTmux, .own = 2s},
             {.pid = 210, .parent = kTmux}});
  CHECK(row(host.tick().agents.at(0), "session:s1")->usage == Usage{2s});
}

TEST_CASE(
    "one look at a time: deadlines that pass while one is made are counted apart from those that it was late for") {
  Host host;
  host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  const auto due = host.collector.next_deadline();
  REQUIRE(due);
  const auto period = host.fleet.agents[0].settings.idle_sample_interval;
  host.loop.advance(*due - host.clock.monotonic_now + period + 1s);
  host.show({{.pid = kServer, .parent = 1}});
  host.processes.hold = true;
  host.collector.tick();
  host.collector.tick();
  CHECK(host.processes.calls == 2);
  host.loop.advance(2 * period);
  host.processes.answer();
  host.loop.next_turn();
  host.loop.run_job();  // whose processes they are
  CHECK(host.reports.size() == 2);
  CHECK_FALSE(host.collector.ticking());
  CHECK(host.collector.counters().skipped_late == 1);
  CHECK(host.collector.counters().skipped_running == 2);
}

TEST_CASE("ticks were counted as skipped that were only asked for while one was under way") {
  Host host;
  host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.processes.hold = true;
  host.collector.tick();
  host.collector.tick();
  host.processes.answer();
  host.loop.next_turn();
  host.loop.run_job();
  CHECK(host.processes.calls == 1);
  CHECK(host.collector.counters().skipped_running == 0);
}

TEST_CASE("a disk that hangs does not hold up the tick") {
  Host host;
  host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  host.files_hang = true;
  host.loop.advance(50s);
  host.show({{.pid = kServer, .parent = 1, .own = 1s}});
  host.collector.tick();
  CHECK(host.collector.ticking());
  host.loop.advance(1s);
  CHECK_FALSE(host.collector.ticking());
  CHECK(row(host.reports.back().agents.at(0), "agent-server")->usage == Usage{1s});
}

TEST_CASE("a change that is told while files are being read is read afterwards") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  host.files_hang = true;
  host.collector.reread_files(Depth::changed);
  const auto before = std::make_shared<const Fleet>(host.fleet);
  host.add_session(agent, "s1", 200);
  host.collector.reread_files(Depth::changed);
  CHECK(host.readings == 2);
  host.files_hang = false;
  host.show({{.pid = kServer, .parent = 1}, {.pid = 200, .parent = kTmux}});
  host.hanging(before);
  CHECK(host.readings == 4);  // the change, and the look that it asked for
  CHECK(host.collector.fleet()->agents.at(0).live_sessions.size() == 1);
}

TEST_CASE("a tick that began while files were read for another reason had none read for itself") {
  Host host;
  host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  host.files_hang = true;
  host.collector.reread_files(Depth::told);
  CHECK(host.readings == 2);
  host.loop.advance(50s);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  CHECK(host.readings == 2);  // one at a time
  host.files_hang = false;
  host.hanging(std::make_shared<const Fleet>(host.fleet));
  CHECK(host.readings == 3);
}

TEST_CASE("a session that was told between a look and what was made of it was sought among panes of before it") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  host.loop.advance(50s);
  host.show({{.pid = kServer, .parent = 1, .own = 1s}, {.pid = 200, .parent = kTmux}});
  host.collector.tick();  // the look is there; what follows is for the loop's next turns
  REQUIRE(host.collector.ticking());
  REQUIRE(host.panes.calls == 0);
  host.add_session(agent, "s1", 200);
  host.collector.reread_files(Depth::told);
  CHECK(host.collector.fleet()->agents.at(0).live_sessions.empty());
  host.show({{.pid = kServer, .parent = 1, .own = 1s}, {.pid = 200, .parent = kTmux, .own = 1s}});
  host.loop.advance(1s);
  host.loop.run_jobs();
  REQUIRE(host.reports.size() == 3);
  CHECK(host.reports[1].agents.at(0).samples.size() == 2);  // the server and the sum of all
  // The session has a look of its own at once, and with its panes.
  CHECK(host.panes.calls == 1);
  CHECK(host.reports[2].agents.at(0).status.state == AgentState::sampling);
  CHECK(host.collector.fleet()->agents.at(0).live_sessions.size() == 1);
  REQUIRE(host.collector.explain(200));
  CHECK(host.collector.explain(200)->source == "session:s1");
}

TEST_CASE("a new live session makes its agent active at once, with a look of its own") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  CHECK(host.tick().agents.at(0).status.state == AgentState::idle);
  host.loop.advance(20s);
  host.add_session(agent, "s1", 200);
  host.show({{.pid = kServer, .parent = 1}, {.pid = 200, .parent = kTmux, .own = 1s, .start = 3610s}});
  host.collector.reread_files(Depth::changed);
  host.loop.run_jobs();
  REQUIRE(host.reports.size() == 2);
  CHECK_FALSE(host.reports.back().due);
  CHECK(host.reports.back().agents.at(0).status.state == AgentState::sampling);
  CHECK(host.collector.next_deadline() == host.clock.monotonic_now + 10s);
  // Its files say the same again: nothing to look at.
  host.collector.reread_files(Depth::changed);
  host.loop.next_turn();
  CHECK(host.reports.size() == 2);
}

TEST_CASE("a gate that closes ends sampling with that tick, one that opens begins it") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  agent.gate.sampling = false;
  agent.reason = "not a development agent";
  ++host.fleet.version;
  host.loop.advance(50s);
  host.show({{.pid = kServer, .parent = 1, .own = 1s}});
  const auto& closed = host.tick();
  CHECK(closed.agents.empty());
  CHECK(closed.others.at(0).status.reason == "not a development agent");
  CHECK_FALSE(host.collector.next_deadline());
  CHECK(host.store.written.empty());
  agent.gate.sampling = true;
  ++host.fleet.version;
  host.collector.reread_files(Depth::changed);
  REQUIRE(host.collector.next_deadline());
}

TEST_CASE("ticks that are asked for come though no agent is metered") {
  Host host{{.interval = Micros{2s}}};
  host.show({});
  CHECK(host.tick().number == 0);
  REQUIRE(host.collector.next_deadline());
  host.loop.advance(2s);
  host.show({});
  CHECK(host.tick().number == 1);
  CHECK(host.reports.back().agents.empty());
}

TEST_CASE("an agent that leaves the registry has its ledger let go") {
  Written host;
  host.fleet.agents.clear();
  host.fleet.access.clear();
  host.reread();
  CHECK(host.store.released[host.id] == 1);
}

TEST_CASE("the ledger of an agent that was switched off, or is written elsewhere now, was held open for ever") {
  Written host;
  host.reread();
  CHECK(host.store.released[host.id] == 0);
  SECTION("switched off") { host.fleet.agents[0].gate.ledger = false; }
  SECTION("written elsewhere") { host.fleet.agents[0].settings.location = LedgerLocation::central; }
  host.reread();
  CHECK(host.store.released[host.id] == 1);
}

TEST_CASE("a ledger that cannot be written makes its agent unavailable, and the others go on") {
  Host host;
  host.add_agent("bad", kServer);
  host.add_agent("good", 300);
  const auto bad = host.fleet.agents[0].identity.id;
  host.store.before_append = [&](const LedgerKey& which) -> Result<void> {
    return which.agent.id == bad ? Result<void>(fail("ledger is a link", Error::Kind::unavailable)) : Result<void>();
  };
  for (int i = 0; i < 3; ++i) {
    host.show({{.pid = kServer, .parent = 1, .own = i * 1s}, {.pid = 300, .parent = 1, .own = i * 1s}});
    host.tick();
    for (int second = 0; second < 50; ++second) {
      host.loop.advance(1s);
      host.loop.run_jobs();
    }
  }
  const auto& agents = host.reports.back().agents;
  CHECK(agents.at(0).status.state == AgentState::unavailable);
  CHECK(agents.at(0).status.reason == "ledger is a link");
  CHECK(agents.at(1).status.state == AgentState::idle);
  CHECK(host.store.written.at(agents.at(1).identity.id).size() == 2);
}

TEST_CASE("an agent is called yielding while the newest row of its own sampler is young, and not for longer") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  agent.settings.own_sampler_period = 60s;
  const auto row = host.clock.wall_now;
  host.store.standings[agent.identity.id] = {.place = {}, .central_since = {}, .other_sampler = row, .yielding = true};
  for (int i = 0; i < 2; ++i) {
    host.show({{.pid = kServer, .parent = 1, .own = i * 1s}});
    host.tick();
    host.loop.advance(50s);
  }
  CHECK(host.lane.health(agent.identity.id)->written == 0);
  host.clock.wall_now = row + 120s;
  CHECK(host.collector.status_of(agent).state == AgentState::yielding);
  host.clock.wall_now = row + 121s;
  CHECK(host.collector.status_of(agent).state == AgentState::idle);
}

TEST_CASE("after 10,000 ticks of a host with churn only what lives is tracked") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  std::mt19937 random(7);
  std::vector<TreeProcess> living{{.pid = kServer, .parent = 1}, {.pid = kTmux, .parent = 1, .name = "tmux: server"}};
  Pid next_pid = 1000;
  int next_session = 0;
  const auto started = [&] {
    return std::chrono::duration_cast<Micros>(host.clock.monotonic_now.time_since_epoch()) - 1s;
  };
  for (int i = 0; i < 10'000; ++i) {
    if (random() % 4 == 0) {  // a session begins
      host.add_session(agent, "s" + std::to_string(next_session++), next_pid);
      living.push_back({.pid = next_pid++, .parent = kTmux, .start = started()});
    }
    if (agent.live_sessions.size() > 5) {  // one ends
      const auto ended = host.panes.panes->front().pid;
      std::erase_if(living, [&](const TreeProcess& process) { return process.pid == ended; });
      for (auto& process : living) {
        process.parent = process.parent == ended ? 1 : process.parent;
      }
      host.panes.panes->erase(host.panes.panes->begin());
      agent.live_sessions.erase(agent.live_sessions.begin());
      ++host.fleet.version;
    }
    const auto parent = living[random() % living.size()].pid;  // tmux's own children are panes, and those stay
    living.push_back({.pid = next_pid++, .parent = parent == kTmux ? kServer : parent, .start = started()});
    for (auto at = living.size(); at-- > 2 && living.size() > 40;) {  // leaves go, the youngest first
      const auto pid = living[at].pid;
      const auto is_child = [pid](const TreeProcess& each) { return each.parent == pid; };
      if (living[at].parent != kTmux && std::none_of(living.begin(), living.end(), is_child)) {
        living.erase(living.begin() + static_cast<std::ptrdiff_t>(at));
      }
    }
    host.show(living);
    host.tick();
    host.loop.advance(10s);
    host.reports.clear();
    host.store.written.clear();
  }
  std::size_t members = 0;
  for (const auto& charge : host.collector.meter().last_charges().processes) {
    const bool has_source =
        charge.why == Attribution::root || charge.why == Attribution::parent || charge.why == Attribution::remembered;
    members += has_source ? 1 : 0;
  }
  REQUIRE(living.size() < 60);
  CHECK(members > 5);
  CHECK(host.collector.meter().membership().size() == members);
  CHECK(host.collector.meter().tracked_sources() <= 1 + agent.live_sessions.size() + 1);
}

TEST_CASE("the server's row carries the heap that was answered less than a period ago, and only that") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.add_session(agent, "s1", 200);
  host.fleet.access.back() = {{AgentToken::Kind::readable, Secret("the agent's")}, 4041, ""};
  host.add_agent("sealed", 300);
  host.fleet.access.back() = {{AgentToken::Kind::encrypted, {}}, 4042, ""};
  host.add_agent("without a port", 301);
  host.fleet.access.back() = {{AgentToken::Kind::readable, Secret("another")}, std::nullopt, ""};
  host.add_agent("without a server", 999);
  host.fleet.access.back() = {{AgentToken::Kind::readable, Secret("a third")}, 4043, ""};
  const std::vector<TreeProcess> tree{{.pid = kServer, .parent = 1, .own = 5s},
                                      {.pid = 200, .parent = kTmux, .own = 1s},
                                      {.pid = 300, .parent = 1},
                                      {.pid = 301, .parent = 1}};
  // A tick whose look takes as long as the answer, or no time.
  const auto tick = [&](bool answered_in_time) -> const AgentReport& {
    host.show(tree);
    host.processes.hold = answered_in_time;
    host.collector.tick();
    if (answered_in_time) {
      host.loop.run_jobs();
      host.processes.answer();
    }
    host.loop.next_turn();
    if (host.collector.ticking()) {
      host.loop.run_job(host.loop.jobs.size() - 1);  // whose processes they are
    }
    return host.reports.back().agents.at(0);
  };
  tick(false);
  host.loop.run_jobs();
  CHECK(host.heap_questions.empty());  // whose server it is was not known before

  host.loop.advance(10s);
  const auto quick = tick(true);
  REQUIRE(host.heap_questions.size() == 1);
  CHECK(host.heap_questions[0].agent == host.fleet.agents[0].identity.id);
  CHECK(host.heap_questions[0].server.pid == kServer);
  CHECK(host.heap_questions[0].port == 4041);
  CHECK(host.heap_questions[0].token.reveal() == "the agent's");
  CHECK(row(quick, "agent-server")->heap == Bytes{42});
  CHECK_FALSE(row(quick, "session:s1")->heap);
  CHECK_FALSE(row(quick, "aggregate")->heap);
  CHECK(host.store.written.empty());
  host.loop.run_jobs();

  // One that comes after the rows are made is in the next ones.
  host.heap = Bytes{43};
  host.loop.advance(10s);
  CHECK_FALSE(row(tick(false), "agent-server")->heap);
  host.loop.advance(5ms);
  host.loop.run_jobs();
  CHECK(host.heap_questions.size() == 2);
  host.heap = fail("no answer in time");
  host.loop.advance(9'995ms);
  CHECK(row(tick(true), "agent-server")->heap == Bytes{43});
  host.loop.run_jobs();
  CHECK(host.heap_questions.size() == 3);
  host.loop.advance(10s);
  CHECK_FALSE(row(tick(true), "agent-server")->heap);
  host.loop.run_jobs();

  host.collector.set_options({.heap = false});
  const auto asked = host.heap_questions.size();
  for (int i = 0; i < 3; ++i) {
    host.loop.advance(10s);
    tick(true);
    host.loop.run_jobs();
  }
  CHECK(host.heap_questions.size() == asked);
}

TEST_CASE("no heap is asked for in a look between two rows") {
  Host host;
  auto& agent = host.add_agent("echo", kServer);
  host.fleet.access.back() = {{AgentToken::Kind::readable, Secret("the agent's")}, 4041, ""};
  for (int look = 0; look < 4; ++look) {  // every 10 s, of an agent without a session: a row every 50 s
    host.show({{.pid = kServer, .parent = 1}});
    host.tick();
    host.loop.advance(10s);
  }
  CHECK(host.heap_questions.empty());
  host.loop.advance(10s);
  host.show({{.pid = kServer, .parent = 1}});
  host.tick();
  CHECK(host.heap_questions.size() == 1);
  CHECK(host.reports.back().agents.at(0).identity.id == agent.identity.id);
}

TEST_CASE("a wall clock that is set a day on or back changes no usage, no interval and no deadline, and loses no row") {
  Host host;
  auto& echo = host.add_agent("echo", kServer);
  host.add_session(echo, "s1", 200);
  Micros used{0};
  const auto show = [&] {
    host.show({{.pid = kServer, .parent = 1, .own = used}, {.pid = 200, .parent = kTmux, .own = 2 * used}});
  };
  show();
  host.tick();
  std::vector<WallTime> moments;
  std::vector<WallTime> reckoned;  // by a clock that was never set forward
  auto forward = 0h;
  for (const auto step : {0h, 24h, 0h, -24h, -24h, 0h, 48h}) {
    CAPTURE(step.count());
    forward = std::max(0h, forward + step);
    host.clock.wall_now += step;
    host.loop.advance(10s);
    used += 3s;
    show();
    const auto& report = host.tick();
    REQUIRE(report.agents.size() == 1);
    CHECK(report.agents[0].status.state == AgentState::sampling);
    for (const auto& [source, usage] : {std::pair<const char*, Micros>{"agent-server", 3s}, {"session:s1", 6s}}) {
      const auto* said = row(report.agents[0], source);
      REQUIRE(said != nullptr);
      CHECK(said->usage == Usage{usage});
      CHECK(said->interval == Micros{10s});
      CHECK(said->ts == host.clock.wall_now);
    }
    moments.push_back(host.clock.wall_now);
    reckoned.push_back(host.clock.wall_now - forward);
  }
  CHECK(host.collector.counters().skipped_late == 0);
  const auto& written = host.store.written[echo.identity.id];
  REQUIRE(written.size() == moments.size());
  for (std::size_t i = 0; i < moments.size(); ++i) {
    CHECK(written[i].samples.front().ts == moments[i]);
    // No day is taken off the retention by a clock that is set forward for a while.
    const bool same_hour = i > 0 && std::chrono::floor<std::chrono::hours>(moments[i]) ==
                                        std::chrono::floor<std::chrono::hours>(moments[i - 1]);
    CHECK(written[i].prune_samples_before ==
          (same_hour ? std::nullopt : std::optional(reckoned[i] - echo.settings.retention)));
  }
}

TEST_CASE("rows said when a starved host came to make them, and were not as far apart as their intervals") {
  Host host;
  host.add_agent("echo", kServer);
  const auto tick_after = [&](Micros late) -> TickReport {
    host.show({{.pid = kServer, .parent = 1, .own = 1s}});
    host.loop.advance(late);
    return host.tick();
  };
  tick_after(0s);
  host.loop.advance(50s);
  const auto first = tick_after(3s);
  CHECK(first.ts == host.clock.wall_now - 3s);
  host.loop.advance(50s);
  const auto second = tick_after(1s);
  REQUIRE(row(second.agents.at(0), "agent-server") != nullptr);
  CHECK(row(second.agents.at(0), "agent-server")->interval == second.ts - first.ts);
}

TEST_CASE("one tick an hour prunes, and those after it as long as there is more") {
  Host host;
  const auto echo = host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1, .own = 1s}});
  host.clock.wall_now = std::chrono::floor<std::chrono::hours>(host.clock.wall_now) + 10min;
  std::vector<bool> pruned;
  host.tick();
  const auto tick_at = [&](Micros later) {
    host.loop.advance(later);
    host.show({{.pid = kServer, .parent = 1, .own = 1s}});
    host.tick();
    pruned.push_back(host.store.written[echo.identity.id].back().prune_samples_before.has_value());
  };
  tick_at(5min);
  tick_at(5min);
  CHECK(pruned == std::vector{true, false});
  host.store.standings[echo.identity.id].more_to_prune = true;
  tick_at(50min);
  tick_at(1min);
  host.store.standings[echo.identity.id].more_to_prune = false;
  tick_at(1min);
  tick_at(1min);
  CHECK(pruned == std::vector{true, false, true, true, true, false});

  // It is still to be written when the next one, which does not prune, is handed over.
  host.store.before_append = [](const LedgerKey&) { return fail("locked", Error::Kind::busy); };
  host.loop.advance(1h);
  host.show({{.pid = kServer, .parent = 1, .own = 1s}});
  host.tick();
  host.loop.advance(1min);
  host.show({{.pid = kServer, .parent = 1, .own = 1s}});
  host.tick();
  const auto before = host.store.written[echo.identity.id].size();
  host.store.before_append = nullptr;
  host.store.standings[echo.identity.id].more_to_prune = true;
  for (int round = 0; round < 3; ++round) {
    host.loop.advance(10s);
    host.loop.run_jobs();
  }
  const auto& written = host.store.written[echo.identity.id];
  REQUIRE(written.size() == before + 2);
  CHECK(written[before].prune_samples_before);
  CHECK_FALSE(written[before + 1].prune_samples_before);
  tick_at(1min);
  CHECK(pruned.back());
}

TEST_CASE("when the tick that was to prune is dropped another one does") {
  Host host;
  const auto echo = host.add_agent("echo", kServer);
  const auto tick_later = [&](Micros later) {
    host.loop.advance(later);
    host.show({{.pid = kServer, .parent = 1, .own = 1s}});
    host.tick();
  };
  host.clock.wall_now = std::chrono::floor<std::chrono::hours>(host.clock.wall_now) + 1min;
  host.show({{.pid = kServer, .parent = 1, .own = 1s}});
  host.tick();
  host.store.before_append = [](const LedgerKey&) { return fail("locked", Error::Kind::busy); };
  for (std::size_t i = 0; i < StoreLane::kQueueLength + 2; ++i) {
    tick_later(1min);
  }
  REQUIRE(host.lane.dropped() > 0);
  host.store.before_append = nullptr;
  tick_later(1min);
  for (int round = 0; round < 3; ++round) {
    host.loop.advance(10s);
    host.loop.run_jobs();
  }
  const auto& written = host.store.written[echo.identity.id];
  CHECK(std::any_of(written.begin(), written.end(),
                    [](const AgentTick& tick) { return tick.prune_samples_before.has_value(); }));
}

TEST_CASE(
    "a tick held the loop for as long as all agents took: it goes on in the next turn, with the files as they were") {
  Host host;
  host.add_agent("echo", kServer);
  host.add_agent("luna", 101);
  const auto show = [&] {
    host.show({{.pid = kServer, .parent = 1, .own = 5s}, {.pid = 101, .parent = 1, .own = 1s}});
  };
  show();
  host.tick();

  host.loop.advance(50s);
  show();
  host.clock.each_reading = 3ms;
  host.collector.tick();
  host.loop.next_turn();
  CHECK(host.reports.size() == 1);
  REQUIRE(host.collector.ticking());

  // Another agent's files and a further deadline come in between.
  host.add_agent("nova", 102);
  host.collector.reread_files(Depth::changed);
  CHECK(host.collector.fleet()->agents.size() == 2);
  CHECK(host.collector.reading());
  host.collector.tick();

  int turns = 0;
  for (; host.collector.ticking() && turns < 100; ++turns) {
    CHECK(host.reports.size() == 1);
    host.loop.advance(1ms);
  }
  CHECK(turns > 3);
  REQUIRE(host.reports.size() == 2);
  REQUIRE(host.reports.back().agents.size() == 2);
  for (const auto& agent : host.reports.back().agents) {
    CHECK(row(agent, "agent-server") != nullptr);
  }
  CHECK(host.collector.fleet()->agents.size() == 3);
  CHECK_FALSE(host.collector.reading());
}

TEST_CASE("a collector that goes in the middle of a tick leaves nothing of it to be done") {
  Host host;
  std::weak_ptr<const Fleet> told;
  std::optional<Collector> collector;
  collector.emplace(CollectorParts{.processes = host.processes,
                                   .panes = host.panes,
                                   .read_fleet =
                                       [&](Depth, auto then) {
                                         const auto made = std::make_shared<const Fleet>(host.fleet);
                                         told = made;
                                         then(made);
                                       },
                                   .ledgers = &host.lane,
                                   .clock = host.clock,
                                   .runtime = host.loop.runtime(),
                                   .ask_heap = {},
                                   .published = [&](const TickReport& report) { host.reports.push_back(report); }},
                    CollectorOptions{});
  host.add_agent("echo", kServer);
  host.show({{.pid = kServer, .parent = 1, .own = 5s}});
  host.clock.each_reading = 5ms;
  collector->tick();
  host.loop.next_turn();
  REQUIRE(collector->ticking());
  collector->reread_files(Depth::changed);  // kept until the tick is over
  REQUIRE(collector->reading());
  collector.reset();
  host.loop.advance(1s);
  CHECK(host.reports.empty());
  CHECK(told.expired());
}
