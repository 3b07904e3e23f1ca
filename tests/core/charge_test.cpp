#include "core/charge.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

#include "tests/support/process_tree.h"

using namespace fleetledger;
using namespace std::chrono_literals;
using fleetledger::test::look;
using fleetledger::test::TreeProcess;

namespace {

constexpr Claim kServer{1, 1};
constexpr Claim kSession{1, 2};
constexpr Claim kOther{2, 3};
constexpr Claim kOrphansOfOne{1, kOrphans};

/// Looks at a host one after the other, every 10 s, as the collector does.
class Meter {
 public:
  /// `pid` stands for `claim` from the next look on.
  Meter& root(Pid pid, Claim claim, Micros start = 0s) {
    roots.claims[{pid, BootTime{start}}] = claim;
    return *this;
  }
  Meter& no_root(Pid pid, Micros start = 0s) {
    roots.claims.erase({pid, BootTime{start}});
    return *this;
  }
  Meter& tmux(Pid pid) {
    roots.tmux_servers.push_back({pid, BootTime{}});
    return *this;
  }
  /// What the environment of `pid` says, known from the next look on.
  Meter& declares(Pid pid, Claim claim, Micros start = 0s) {
    roots.declared[{pid, BootTime{start}}] = claim;
    return *this;
  }
  Meter& coarse(Micros cpu, Micros start) {
    resolution = cpu;
    slack = start;
    return *this;
  }

  const Charges& look(const std::vector<TreeProcess>& processes) { return look_at_doubt(processes, 0s); }
  /// Readings that may be too small by so much.
  const Charges& look_at_doubt(const std::vector<TreeProcess>& processes, Micros doubt) {
    auto sure = fleetledger::test::look(next_, processes, resolution, slack);
    std::vector<ProcessReading> readings(sure.readings().begin(), sure.readings().end());
    for (auto& reading : readings) {
      reading.own_doubt = reading.doubt = doubt;
    }
    ProcessTable now(sure.moment(), std::move(readings));
    next_ += 10s;
    charges = charge(last_, now, roots, membership, scope);
    last_ = std::move(now);
    return charges;
  }

  /// What the last look charged to a source; it has at most one row.
  [[nodiscard]] SourceCharge source(Claim claim) const {
    SourceCharge found;
    int rows = 0;
    for (const auto& row : charges.sources) {
      if (row.claim == claim) {
        found = row;
        ++rows;
      }
    }
    CHECK(rows <= 1);
    return found;
  }
  [[nodiscard]] Micros usage(Claim claim) const { return source(claim).usage.micros(); }
  [[nodiscard]] const ProcessCharge& process(Pid pid) const { return charges.processes.at(*last_.index_of(pid)); }
  [[nodiscard]] Micros nobodys() const {
    Usage sum;
    for (const auto& process : charges.processes) {
      sum += process.why == Attribution::nobody ? process.usage : Usage{};
    }
    return sum.micros();
  }
  [[nodiscard]] Micros everything() const {
    auto sum = charges.collector + charges.unattributed + Usage{nobodys()};
    for (const auto& row : charges.sources) {
      sum += row.usage;
    }
    return sum.micros();
  }

  Roots roots;
  Membership membership;
  Charges charges;
  Scope scope = Scope::tree;
  Micros resolution{0};
  Micros slack{0};

 private:
  ProcessTable last_;
  Micros next_ = 100s;
};

}  // namespace

TEST_CASE("the first look is a baseline: everything has its place and nothing is charged") {
  Meter meter;
  meter.root(10, kServer)
      .look({{.pid = 1, .own = 9s},
             {.pid = 10, .parent = 1, .own = 5s, .reaped = 7s},
             {.pid = 11, .parent = 10, .own = 3s},
             {.pid = 20, .parent = 1, .own = 4s}});
  CHECK(meter.everything() == 0s);
  CHECK(meter.source(kServer).processes == 2);
  CHECK(meter.source(kServer).resident == Bytes{2000});
  CHECK(meter.process(10).why == Attribution::root);
  CHECK(meter.process(11).why == Attribution::parent);
  CHECK(meter.process(20).why == Attribution::nobody);
  CHECK(meter.membership.size() == 2);
}

TEST_CASE("survivors are charged the difference of their totals") {
  Meter meter;
  meter.root(10, kServer).root(20, kOther);
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1, .own = 5s},
              {.pid = 11, .parent = 10, .own = 3s},
              {.pid = 20, .parent = 1, .own = 1s},
              {.pid = 30, .parent = 1, .own = 1s}});
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1, .own = 6s},
              {.pid = 11, .parent = 10, .own = 5s},
              {.pid = 20, .parent = 1, .own = 5s},
              {.pid = 30, .parent = 1, .own = 9s}});
  CHECK(meter.usage(kServer) == 3s);
  CHECK(meter.usage(kOther) == 4s);
  CHECK(meter.process(11).usage == Usage{2s});
  CHECK(meter.process(30).usage == Usage{8s});
  CHECK(meter.everything() == 15s);
}

TEST_CASE("sources come in the order of their claims, each once") {
  Meter meter;
  meter.root(40, {1, 2}).root(10, {7, 4}).root(30, {1, 9}).root(20, {1, 2});
  meter.look({{.pid = 10}, {.pid = 20}, {.pid = 30}, {.pid = 40}});
  REQUIRE(meter.charges.sources.size() == 3);
  CHECK(meter.charges.sources[0].claim == Claim{1, 2});
  CHECK(meter.charges.sources[0].processes == 2);
  CHECK(meter.charges.sources[1].claim == Claim{1, 9});
  CHECK(meter.charges.sources[2].claim == Claim{7, 4});
}

TEST_CASE("a process that was born since the last look is charged all of its time") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}});
  meter.look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 2s, .reaped = 1s, .start = 105s}});
  CHECK(meter.usage(kServer) == 3s);
  CHECK(meter.process(11).why == Attribution::parent);
}

TEST_CASE("a process that is older than the last look and was not in it is a baseline and nobody's") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}});
  meter.look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 60s, .start = 50s}});
  CHECK(meter.usage(kServer) == 0s);
  CHECK(meter.process(11).why == Attribution::nobody);
  CHECK(meter.process(11).usage == Usage{});
  SECTION("from the next look on it follows its parent") {
    meter.look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 61s, .start = 50s}});
    CHECK(meter.usage(kServer) == 1s);
  }
}

TEST_CASE("a start that is as close to the last look as starts are coarse counts as born since") {
  Meter meter;
  meter.coarse(0s, 2s).root(10, kServer).look({{.pid = 10}});
  meter.look({{.pid = 10},
              {.pid = 11, .parent = 10, .own = 3s, .start = 98s},
              {.pid = 12, .parent = 10, .own = 5s, .start = 97'999'999us}});
  CHECK(meter.usage(kServer) == 3s);
}

TEST_CASE("a child's last total that its parent reaped is not counted twice") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10, .own = 1s}, {.pid = 11, .parent = 10, .own = 4s}});
  // 11 spent one more second, ended and was waited for.
  meter.look({{.pid = 10, .own = 1s, .reaped = 5s}});
  CHECK(meter.usage(kServer) == 1s);
}

TEST_CASE("children that come and go between two looks are charged through their parent") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}});
  for (auto reaped = 1s; reaped <= 5s; ++reaped) {
    meter.look({{.pid = 10, .own = 10ms, .reaped = reaped}});
    CHECK(meter.usage(kServer) == (reaped == 1s ? 1010ms : 1000ms));
  }
}

TEST_CASE("a deep chain that ends at once is counted once") {
  Meter meter;
  meter.root(10, kServer);
  std::vector<TreeProcess> chain{{.pid = 10, .own = 0s}};
  for (Pid pid = 11; pid < 60; ++pid) {
    chain.push_back({.pid = pid, .parent = pid - 1, .own = 1s});
  }
  meter.look(chain);
  CHECK(meter.source(kServer).processes == 50);
  // Each of the 49 spent another 100 ms, and each was waited for by the one above.
  meter.look({{.pid = 10, .own = 0s, .reaped = 53'900ms}});
  CHECK(meter.usage(kServer) == 4900ms);
}

TEST_CASE("a child that nobody waited for takes nothing from others") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10, .own = 4s}});
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 2s}});
  CHECK(meter.usage(kServer) == 2s);
  CHECK(meter.nobodys() == 0s);
}

TEST_CASE("a child that was waited for between the looks at its parent and at itself was charged all its life again") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 600s}});
  meter.look({{.pid = 10}});  // 10 was looked at before it waited, and then 11 was not there any more
  CHECK(meter.usage(kServer) == 0s);
  meter.look({{.pid = 10, .reaped = 601s}});
  CHECK(meter.usage(kServer) == 1s);
  meter.look({{.pid = 10, .reaped = 1201s}});
  CHECK(meter.usage(kServer) == 600s);
}

TEST_CASE("what was not found at the next look either was not waited for") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 4s}});
  meter.look({{.pid = 10}});
  meter.look({{.pid = 10}});
  meter.look({{.pid = 10, .reaped = 5s}});
  CHECK(meter.usage(kServer) == 5s);
}

TEST_CASE("one stranger beside a child that was waited for cost the benefit of the doubt of all") {
  Meter meter;
  meter.root(10, kServer)
      .look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 100s}, {.pid = 12, .parent = 10, .own = 500ms}});
  meter.look_at_doubt({{.pid = 10, .reaped = 99'200ms}}, 1s);  // of 100 s
  CHECK(meter.usage(kServer) == 0s);
  meter.look({{.pid = 10, .reaped = 100s}});
  CHECK(meter.usage(kServer) == 0s);
}

TEST_CASE("own time that was read too small and then right hid what a process had reaped") {
  Meter meter;
  meter.root(10, kServer);
  meter.look_at_doubt({{.pid = 10, .own = 1s}, {.pid = 11, .parent = 10, .own = 50s}}, 1s);
  meter.look_at_doubt({{.pid = 10, .own = 1900ms, .reaped = 49'200ms}}, 1s);
  CHECK(meter.usage(kServer) <= 900ms);
}

TEST_CASE("what was waited for by an ancestor further up is looked for there") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}, {.pid = 11, .parent = 10}, {.pid = 12, .parent = 11, .own = 4s}});
  // 11 handed 12 on: 10 reaped it.
  meter.look({{.pid = 10, .reaped = 5s}, {.pid = 11, .parent = 10}});
  CHECK(meter.usage(kServer) == 1s);
}

TEST_CASE("room for reaped time goes to the nearest first, and to the larger before the smaller") {
  Meter meter;
  meter.root(10, kServer).root(11, kOther);
  std::vector<TreeProcess> before{{.pid = 10}, {.pid = 11, .parent = 10}, {.pid = 12, .parent = 11, .own = 2s}};
  SECTION("larger before smaller") {
    before.push_back({.pid = 13, .parent = 11, .own = 3s});
    meter.look(before);
    meter.look({{.pid = 10, .reaped = 3s}, {.pid = 11, .parent = 10, .reaped = 3s}});
    CHECK(meter.usage(kServer) == 1s);
    CHECK(meter.usage(kOther) == 0s);
  }
  SECTION("nearest first") {
    before.push_back({.pid = 13, .parent = 12, .own = 3s});
    meter.look(before);
    meter.look({{.pid = 10, .reaped = 3s}, {.pid = 11, .parent = 10, .reaped = 3s}});
    CHECK(meter.usage(kServer) == 0s);
    CHECK(meter.usage(kOther) == 1s);
  }
}

TEST_CASE("where it cannot be told which children were waited for, too little is charged rather than too much") {
  Meter meter;
  meter.root(10, kServer)
      .look({{.pid = 10},
             {.pid = 11, .parent = 10, .own = 3s},
             {.pid = 12, .parent = 10, .own = 2s},
             {.pid = 13, .parent = 10, .own = 2s}});
  // 12 and 13, or 11 and a second of something else.
  meter.look({{.pid = 10, .reaped = 4s}});
  CHECK(meter.usage(kServer) == 0s);
}

TEST_CASE("a group that is killed at once leaves nothing behind and nothing twice") {
  Meter meter;
  meter.root(10, kServer).root(30, kOther);
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1},
              {.pid = 20, .parent = 10, .own = 1s},
              {.pid = 21, .parent = 20, .own = 5s},
              {.pid = 22, .parent = 20, .own = 6s},
              {.pid = 30, .parent = 1},
              {.pid = 31, .parent = 30, .own = 50ms}});
  // 10 reaped 20, pid 1 reaped the two others; each had spent 100 ms more. 31 has ended as well.
  meter.look({{.pid = 1, .reaped = 11'200ms},
              {.pid = 10, .parent = 1, .reaped = 1100ms},
              {.pid = 30, .parent = 1, .reaped = 50ms}});
  CHECK(meter.usage(kServer) == 100ms);
  CHECK(meter.usage(kOther) == 0s);
  CHECK(meter.nobodys() == 200ms);
}

TEST_CASE("a subreaper inside the tree that reaps its grandchildren counts them once") {
  Meter meter;
  meter.root(10, kServer);
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1},
              {.pid = 11, .parent = 10, .own = 1s},
              {.pid = 12, .parent = 11, .own = 2s},
              {.pid = 13, .parent = 12, .own = 3s}});
  // 12 has ended, 13 came to the subreaper 10.
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1},
              {.pid = 11, .parent = 10, .own = 1s, .reaped = 2s},
              {.pid = 13, .parent = 10, .own = 4s}});
  CHECK(meter.usage(kServer) == 1s);
  CHECK(meter.process(13).why == Attribution::remembered);
  // 13 has ended as the child of 10.
  meter.look(
      {{.pid = 1}, {.pid = 10, .parent = 1, .reaped = 4500ms}, {.pid = 11, .parent = 10, .own = 1s, .reaped = 2s}});
  CHECK(meter.usage(kServer) == 500ms);
}

TEST_CASE("what is re-parented keeps its source, for as long as it lives, and so do its children") {
  Meter meter;
  meter.root(10, kServer);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10}, {.pid = 12, .parent = 11, .own = 1s}});
  for (auto own = 2s; own < 6s; ++own) {
    meter.look({{.pid = 1},
                {.pid = 10, .parent = 1},
                {.pid = 12, .parent = 1, .own = own},
                {.pid = 13, .parent = 12, .start = 101s}});
    CHECK(meter.usage(kServer) == 1s);
    CHECK(meter.source(kServer).processes == 3);
    CHECK(meter.process(12).why == Attribution::remembered);
    CHECK(meter.process(13).why == Attribution::parent);
  }
  CHECK(meter.membership.size() == 3);
}

TEST_CASE("what is re-parented to another agent's process keeps its source") {
  Meter meter;
  meter.root(10, kOther).root(11, kServer);
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1},
              {.pid = 11, .parent = 10},
              {.pid = 12, .parent = 11},
              {.pid = 13, .parent = 12}});
  for (auto own = 1s; own < 5s; ++own) {
    meter.look(
        {{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10}, {.pid = 13, .parent = 10, .own = own}});
    CHECK(meter.usage(kServer) == 1s);
    CHECK(meter.usage(kOther) == 0s);
  }
}

TEST_CASE("what is nobody's stays nobody's when an agent's process adopts it") {
  Meter meter;
  meter.root(1, kServer);  // a container whose first process is the agent's server
  meter.look({{.pid = 1}, {.pid = 50, .parent = 0}, {.pid = 51, .parent = 50}});
  for (auto own = 1s; own < 5s; ++own) {
    meter.look({{.pid = 1}, {.pid = 51, .parent = 1, .own = own}, {.pid = 52, .parent = 51, .start = 101s}});
    CHECK(meter.usage(kServer) == 0s);
    CHECK(meter.source(kServer).processes == 1);
    CHECK(meter.nobodys() == 1s);
  }
  CHECK(meter.membership.size() == 1);
}

TEST_CASE("what nobody claims is charged to whom its environment names, from the look before on, with all it starts") {
  Meter meter;
  const std::vector<TreeProcess> orphans{
      {.pid = 1}, {.pid = 20, .parent = 1, .own = 7s}, {.pid = 21, .parent = 20, .own = 2s}};
  meter.root(10, kServer).look(orphans);
  CHECK(meter.process(20).why == Attribution::nobody);

  meter.declares(20, kOrphansOfOne);
  meter.look({{.pid = 1},
              {.pid = 20, .parent = 1, .own = 8s},
              {.pid = 21, .parent = 20, .own = 4s},
              {.pid = 22, .parent = 20, .own = 5s, .start = 105s}});
  CHECK(meter.process(20).why == Attribution::environment);
  CHECK(meter.process(21).why == Attribution::parent);
  CHECK(meter.usage(kOrphansOfOne) == 1s + 2s + 5s);
  CHECK(meter.source(kOrphansOfOne).processes == 3);

  // It goes on, and what it started stays the agent's when it ends.
  meter.look({{.pid = 1}, {.pid = 21, .parent = 1, .own = 5s}, {.pid = 22, .parent = 1, .own = 5s, .start = 105s}});
  CHECK(meter.process(21).why == Attribution::remembered);
  CHECK(meter.usage(kOrphansOfOne) == 1s);
  CHECK(meter.source(kOrphansOfOne).processes == 2);
}

TEST_CASE("an environment that names a living session charges it, and the agent's orphans when it has ended") {
  Meter meter;
  const std::vector<TreeProcess> processes{{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 20, .parent = 1}};
  meter.root(10, kSession).declares(20, kSession).look(processes);
  CHECK(meter.process(20).why == Attribution::environment);
  CHECK(meter.source(kSession).processes == 2);
  meter.no_root(10).declares(20, kOrphansOfOne).look(processes);
  CHECK(meter.process(20).why == Attribution::environment);
  CHECK(meter.source(kSession).processes == 0);
  CHECK(meter.source(kOrphansOfOne).processes == 2);
}

TEST_CASE("an environment takes nothing away from anybody") {
  constexpr Claim kOrphansOfTwo{2, kOrphans};
  Meter meter;
  meter.root(10, kServer).tmux(40);
  for (const Pid pid : {1, 10, 11, 12, 40, 50, 60, 61}) {
    meter.declares(pid, kOrphansOfTwo);
  }
  meter.roots.collector = 50;
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1},
              {.pid = 11, .parent = 10},
              {.pid = 12, .parent = 11},
              {.pid = 40, .parent = 1},
              {.pid = 41, .parent = 40},
              {.pid = 50, .parent = 1},
              {.pid = 60, .parent = 1, .name = "systemd"},
              {.pid = 61, .parent = 1, .name = "tmux: server"},
              {.pid = 62, .parent = 61}});
  CHECK(meter.process(10).claim == kServer);
  CHECK(meter.process(11).claim == kServer);
  CHECK(meter.process(50).why == Attribution::collector);
  for (const Pid pid : {1, 40, 41, 60, 61, 62}) {
    INFO(pid);
    CHECK(meter.process(pid).why == Attribution::nobody);
  }
  // What lost its parent keeps what it had.
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 12, .parent = 1}});
  CHECK(meter.process(12).why == Attribution::remembered);
  CHECK(meter.process(12).claim == kServer);
}

TEST_CASE("with scope process an environment says nothing") {
  Meter meter;
  meter.scope = Scope::process;
  meter.root(10, kServer).declares(20, kOrphansOfOne).look({{.pid = 10}, {.pid = 20}});
  CHECK(meter.process(20).why == Attribution::nobody);
}

TEST_CASE("a pid that is used again is another process") {
  const auto total = GENERATE(3s, 50s);  // below and above its predecessor's
  Meter meter;
  meter.root(10, kServer);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10, .own = 40s}, {.pid = 20, .parent = 1}});
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1, .reaped = 41s},
              {.pid = 20, .parent = 1},
              {.pid = 11, .parent = 20, .own = total, .start = 105s}});
  CHECK(meter.usage(kServer) == 1s);
  CHECK(meter.process(11).why == Attribution::nobody);
  CHECK(meter.process(11).usage == Usage{total});
  CHECK(meter.membership.size() == 1);
}

TEST_CASE("a root's pid that is used again is no root") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 4s}});
  meter.look({{.pid = 1, .reaped = 4s}, {.pid = 10, .parent = 1, .own = 7s, .start = 105s}});
  CHECK(meter.charges.sources.empty());
  CHECK(meter.nobodys() == 7s);
  CHECK(meter.membership.size() == 0);
}

TEST_CASE("a known key whose total fell is a new process where it can have been born since") {
  Meter meter;
  meter.coarse(0s, 2s).root(10, kServer);
  meter.look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 4s, .start = 99s}, {.pid = 20}});
  meter.look({{.pid = 10, .reaped = 4500ms}, {.pid = 11, .parent = 20, .own = 1s, .start = 99s}, {.pid = 20}});
  CHECK(meter.usage(kServer) == 500ms);
  CHECK(meter.process(11).why == Attribution::nobody);
  CHECK(meter.process(11).usage == Usage{1s});
}

TEST_CASE("a counter that goes back is never a negative usage and costs a process nothing but that interval") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10, .own = 9s}, {.pid = 11, .parent = 10, .own = 4s, .reaped = 5s}});
  meter.look({{.pid = 10, .own = 10s}, {.pid = 11, .parent = 10, .own = 3s, .reaped = 3s}});
  CHECK(meter.usage(kServer) == 1s);
  CHECK(meter.process(11).usage == Usage{});
  CHECK(meter.process(11).why == Attribution::parent);
  meter.look({{.pid = 10, .own = 10s}, {.pid = 11, .parent = 10, .own = 4s, .reaped = 3s}});
  CHECK(meter.usage(kServer) == 1s);
}

TEST_CASE("a root that is claimed late is charged what it and its tree spent since the last look") {
  Meter meter;
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 50s}, {.pid = 11, .parent = 10, .own = 20s}});
  meter.root(10, kServer);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 51s}, {.pid = 11, .parent = 10, .own = 22s}});
  CHECK(meter.usage(kServer) == 3s);
  CHECK(meter.source(kServer).processes == 2);
}

TEST_CASE("a root that is claimed late and was not seen before is a baseline") {
  Meter meter;
  meter.look({{.pid = 1}});
  meter.root(10, kServer, 50s).look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 60s, .start = 50s}});
  CHECK(meter.source(kServer).processes == 1);
  CHECK(meter.usage(kServer) == 0s);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 61s, .start = 50s}});
  CHECK(meter.usage(kServer) == 1s);
}

TEST_CASE("a root that descends from another agent's root is its own agent's") {
  Meter meter;
  meter.root(10, kServer).root(12, kOther);
  meter.look({{.pid = 10}, {.pid = 11, .parent = 10}, {.pid = 12, .parent = 11}, {.pid = 13, .parent = 12}});
  meter.look({{.pid = 10},
              {.pid = 11, .parent = 10, .own = 1s},
              {.pid = 12, .parent = 11, .own = 2s},
              {.pid = 13, .parent = 12, .own = 4s}});
  CHECK(meter.usage(kServer) == 1s);
  CHECK(meter.usage(kOther) == 6s);
}

TEST_CASE("a process follows its parent when the parent's source changes") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}, {.pid = 11, .parent = 10}});
  meter.no_root(10).root(10, kOther).look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 2s}});
  CHECK(meter.usage(kOther) == 2s);
  CHECK(meter.usage(kServer) == 0s);
}

TEST_CASE("what a replaced server left is the agent's orphans") {
  Meter meter;
  meter.root(10, {1, 1});
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10, .own = 1s}});
  meter.root(20, {1, 5}, 105s);
  for (auto own = 2s; own < 5s; ++own) {
    meter.look({{.pid = 1}, {.pid = 11, .parent = 1, .own = own}, {.pid = 20, .parent = 1, .start = 105s}});
    CHECK(meter.usage(kOrphansOfOne) == 1s);
    CHECK(meter.source(kOrphansOfOne).processes == 1);
    CHECK(meter.source({1, 1}).processes == 0);
    CHECK(meter.source({1, 5}).processes == 1);
    CHECK(meter.process(11).claim == kOrphansOfOne);
  }
}

TEST_CASE("what outlives its session is the agent's orphans, its root's process included") {
  Meter meter;
  meter.tmux(5).root(10, kSession).root(20, kServer);
  const std::vector<TreeProcess> processes{
      {.pid = 1}, {.pid = 5, .parent = 1}, {.pid = 10, .parent = 5}, {.pid = 11, .parent = 10}, {.pid = 20}};
  meter.look(processes);
  CHECK(meter.source(kSession).processes == 2);
  meter.no_root(10);
  for (int looks = 0; looks < 3; ++looks) {
    meter.look(processes);
    CHECK(meter.source(kSession).processes == 0);
    CHECK(meter.source(kOrphansOfOne).processes == 2);
    CHECK(meter.source(kServer).processes == 1);
    CHECK(meter.membership.size() == 3);
    CHECK(meter.membership.find({11, BootTime{}}) == kSession);
  }
  SECTION("if the session's pane is claimed again, they are the session's again") {
    meter.root(10, kSession).look(processes);
    CHECK(meter.source(kSession).processes == 2);
    CHECK(meter.source(kOrphansOfOne).processes == 0);
  }
}

TEST_CASE("a session with two panes is one source, and lives while one of them does") {
  Meter meter;
  meter.tmux(5).root(10, kSession).root(11, kSession);
  meter.look({{.pid = 5}, {.pid = 10, .parent = 5}, {.pid = 11, .parent = 5}, {.pid = 12, .parent = 10}});
  CHECK(meter.source(kSession).processes == 3);
  meter.look({{.pid = 5, .reaped = 2s}, {.pid = 11, .parent = 5}, {.pid = 12, .parent = 1, .own = 1s}});
  CHECK(meter.source(kSession).processes == 2);
  CHECK(meter.usage(kSession) == 3s);
}

TEST_CASE("a tmux server is nobody's and hands nothing down, whoever started it") {
  Meter meter;
  meter.root(10, kServer);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 15, .parent = 10}});
  meter.tmux(15).root(16, kSession, 105s);
  meter.look({{.pid = 1},
              {.pid = 10, .parent = 1},
              {.pid = 15, .parent = 1, .own = 1s},
              {.pid = 16, .parent = 15, .own = 2s, .start = 105s},
              {.pid = 17, .parent = 15, .own = 4s, .start = 105s}});
  CHECK(meter.usage(kServer) == 0s);
  CHECK(meter.usage(kSession) == 2s);
  CHECK(meter.process(15).why == Attribution::nobody);
  CHECK(meter.process(17).why == Attribution::nobody);
  CHECK(meter.nobodys() == 5s);
}

TEST_CASE("what a pane spent after the last look goes to the session that ended, through the tmux server") {
  Meter meter;
  meter.tmux(5).root(10, kSession).root(11, kOther);
  meter.look({{.pid = 5, .own = 1s, .reaped = 70s},
              {.pid = 10, .parent = 5, .own = 4s, .reaped = 2s},
              {.pid = 11, .parent = 5, .own = 8s},
              {.pid = 12, .parent = 10, .own = 3s}});
  SECTION("one session") {
    // 12 spent 500 ms more and was waited for, 10 spent 250 ms more; the tmux server itself 100 ms.
    meter.look({{.pid = 5, .own = 1100ms, .reaped = 79'750ms}, {.pid = 11, .parent = 5, .own = 9s}});
    CHECK(meter.usage(kSession) == 750ms);
    CHECK(meter.source(kSession).processes == 0);
    CHECK(meter.source(kSession).resident == Bytes{0});
    CHECK(meter.usage(kOther) == 1s);
    CHECK(meter.nobodys() == 100ms);
    CHECK(meter.charges.unattributed == Usage{});
    CHECK(meter.everything() == 1850ms);
  }
  SECTION("two sessions: whose it was is unknown") {
    meter.look({{.pid = 5, .own = 1100ms, .reaped = 88s}});
    CHECK(meter.charges.sources.empty());
    CHECK(meter.charges.unattributed == Usage{1s});
    CHECK(meter.nobodys() == 100ms);
  }
}

TEST_CASE("a session and somebody's own pane that end together: whose the rest is is unknown") {
  Meter meter;
  meter.tmux(5).root(10, kSession);
  meter.look({{.pid = 5}, {.pid = 10, .parent = 5, .own = 4s}, {.pid = 11, .parent = 5, .own = 8s}});
  meter.look({{.pid = 5, .reaped = 20s}});
  CHECK(meter.charges.unattributed == Usage{8s});
  CHECK(meter.usage(kSession) == 0s);
}

TEST_CASE("what a tmux server reaps while no session ends is nobody's") {
  Meter meter;
  meter.tmux(5).root(10, kSession);
  meter.look({{.pid = 5}, {.pid = 10, .parent = 5, .own = 4s}, {.pid = 11, .parent = 5, .own = 8s}});
  meter.look({{.pid = 5, .reaped = 9s}, {.pid = 10, .parent = 5, .own = 5s}});
  CHECK(meter.usage(kSession) == 1s);
  CHECK(meter.nobodys() == 1s);
  CHECK(meter.charges.unattributed == Usage{});
}

TEST_CASE("a tmux server that is a root itself keeps what it reaps, and hands its source down") {
  Meter meter;
  meter.tmux(5).root(5, kServer).root(10, kSession);
  meter.look({{.pid = 5}, {.pid = 10, .parent = 5, .own = 4s}, {.pid = 11, .parent = 5}});
  meter.look({{.pid = 5, .reaped = 5s}, {.pid = 11, .parent = 5, .own = 2s}});
  CHECK(meter.usage(kServer) == 3s);
  CHECK(meter.usage(kSession) == 0s);
}

TEST_CASE("panes of several tmux servers that end at once are told apart") {
  Meter meter;
  meter.tmux(5).tmux(6).root(10, kSession).root(20, kOther);
  meter.look({{.pid = 5}, {.pid = 6}, {.pid = 10, .parent = 5, .own = 4s}, {.pid = 20, .parent = 6, .own = 8s}});
  meter.look({{.pid = 5, .reaped = 5s}, {.pid = 6, .reaped = 10s}});
  CHECK(meter.usage(kSession) == 1s);
  CHECK(meter.usage(kOther) == 2s);
}

TEST_CASE("the last of a pane whose session had ended before goes to the orphans") {
  Meter meter;
  meter.tmux(5).root(10, kSession).look({{.pid = 5}, {.pid = 10, .parent = 5, .own = 4s}});
  meter.no_root(10).look({{.pid = 5}, {.pid = 10, .parent = 5, .own = 4s}});
  meter.look({{.pid = 5, .reaped = 5s}});
  CHECK(meter.usage(kOrphansOfOne) == 1s);
  CHECK(meter.usage(kSession) == 0s);
  CHECK(meter.membership.size() == 0);
}

TEST_CASE("a session that ended and spent nothing more has no row") {
  Meter meter;
  meter.tmux(5).root(10, kSession).look({{.pid = 5}, {.pid = 10, .parent = 5, .own = 4s}});
  meter.look({{.pid = 5, .reaped = 4s}});
  CHECK(meter.charges.sources.empty());
}

TEST_CASE("pid 1 as an agent's server is a root and hands its source down; what was a session's stays the agent's") {
  Meter meter;
  meter.tmux(5).root(1, kServer).root(10, kSession);
  meter.look({{.pid = 1},
              {.pid = 5, .parent = 1},
              {.pid = 8, .parent = 1},
              {.pid = 10, .parent = 5},
              {.pid = 11, .parent = 10}});
  meter.look({{.pid = 1, .own = 1s},
              {.pid = 5, .parent = 1, .own = 8s},
              {.pid = 8, .parent = 1, .own = 2s},
              {.pid = 11, .parent = 1, .own = 4s}});
  CHECK(meter.usage(kServer) == 3s);
  CHECK(meter.nobodys() == 8s);
  CHECK(meter.usage(kOrphansOfOne) == 4s);
}

TEST_CASE("pid 1, a user's service manager and kernel threads are nobody's") {
  Meter meter;
  SECTION("on a host") {
    meter.look({{.pid = 1, .name = "systemd"},
                {.pid = 2, .name = "kthreadd"},
                {.pid = 3, .parent = 2, .name = "kworker/0:0"},
                {.pid = 7, .parent = 1, .name = "systemd"},
                {.pid = 8, .parent = 7, .name = "(sd-pam)"}});
    CHECK(meter.charges.sources.empty());
    CHECK(meter.membership.size() == 0);
  }
  SECTION("a service manager takes nothing from a pid 1 that is an agent's server") {
    meter.root(1, kServer);
    meter.look({{.pid = 1},
                {.pid = 7, .parent = 1, .name = "systemd"},
                {.pid = 8, .parent = 7, .name = "(sd-pam)"},
                {.pid = 9, .parent = 1, .name = "node"}});
    CHECK(meter.source(kServer).processes == 2);
    CHECK(meter.process(9).why == Attribution::parent);
  }
  SECTION("what was a root as pid 1 is nobody's afterwards") {
    meter.root(1, kServer).look({{.pid = 1}});
    meter.no_root(1).look({{.pid = 1}});
    CHECK(meter.membership.size() == 0);
  }
}

TEST_CASE("an agent cannot hide a process by the name of a service manager") {
  Meter meter;
  meter.root(10, kServer);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10, .name = "systemd"}});
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 1, .own = 1s, .name = "systemd"}});
  CHECK(meter.usage(kServer) == 1s);
}

TEST_CASE("the collector and its children are the collector's, in whosever session it runs") {
  Meter meter;
  meter.roots.collector = 20;
  meter.root(10, kSession);
  meter.look({{.pid = 10}, {.pid = 20, .parent = 10, .own = 1s, .reaped = 6s}});
  meter.look({{.pid = 10, .own = 1s},
              {.pid = 20, .parent = 10, .own = 2s, .reaped = 6s},
              {.pid = 21, .parent = 20, .own = 300ms, .start = 109s}});
  CHECK(meter.charges.collector == Usage{1300ms});
  CHECK(meter.usage(kSession) == 1s);
  CHECK(meter.process(21).why == Attribution::collector);
  // The ps of that look has ended, with 50 ms more, and we have reaped it; there is the next one.
  meter.look({{.pid = 10, .own = 1s},
              {.pid = 20, .parent = 10, .own = 2s, .reaped = 6350ms},
              {.pid = 22, .parent = 20, .own = 300ms, .start = 119s}});
  CHECK(meter.charges.collector == Usage{350ms});
  CHECK(meter.membership.size() == 1);
}

TEST_CASE("an agent's process that comes to the collector as pid 1 of a container stays the agent's") {
  Meter meter;
  meter.roots.collector = 1;
  meter.root(10, kServer);
  meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 11, .parent = 10}, {.pid = 12, .parent = 11}});
  for (auto own = 1s; own < 4s; ++own) {
    meter.look({{.pid = 1}, {.pid = 10, .parent = 1}, {.pid = 12, .parent = 1, .own = own}});
    CHECK(meter.usage(kServer) == 1s);
    CHECK(meter.charges.collector == Usage{});
  }
}

TEST_CASE("a zombie counts as a process without memory until it is waited for, and its time once") {
  Meter meter;
  meter.root(10, kServer).look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 1s}});
  meter.look({{.pid = 10}, {.pid = 11, .parent = 10, .own = 3s, .zombie = true}});
  CHECK(meter.usage(kServer) == 2s);
  CHECK(meter.source(kServer).processes == 2);
  CHECK(meter.source(kServer).resident == Bytes{1000});
  meter.look({{.pid = 10, .reaped = 3s}});
  CHECK(meter.usage(kServer) == 0s);
}

TEST_CASE("what is coarse gets the benefit of its resolution, and own time is charged all the same") {
  Meter meter;
  meter.coarse(1s, 2s).root(10, kServer);
  meter.look({{.pid = 10, .own = 10s}, {.pid = 11, .parent = 10, .own = 3s}});
  SECTION("a last total that is a little above what was reaped still has room") {
    meter.look({{.pid = 10, .own = 10s, .reaped = 1s}});
    CHECK(meter.usage(kServer) == 0s);
  }
  SECTION("not below own time less the resolution") {
    meter.look({{.pid = 10, .own = 15s, .reaped = 1s}});
    CHECK(meter.usage(kServer) == 4s);
  }
  SECTION("where it is too much for the room, nobody waited for it") {
    meter.look({{.pid = 10, .own = 15s, .reaped = 900ms}});
    CHECK(meter.usage(kServer) == 5900ms);
  }
}

TEST_CASE("whatever is waited for is conserved over the whole host") {
  Meter meter;
  meter.roots.collector = 30;
  meter.tmux(5).root(10, kSession).root(11, kOther).root(20, kServer);
  meter.look({{.pid = 1, .own = 1s},
              {.pid = 5, .parent = 1, .own = 2s},
              {.pid = 10, .parent = 5, .own = 3s},
              {.pid = 11, .parent = 5, .own = 4s},
              {.pid = 12, .parent = 10, .own = 5s},
              {.pid = 20, .parent = 1, .own = 6s},
              {.pid = 21, .parent = 20, .own = 7s},
              {.pid = 30, .parent = 1, .own = 8s},
              {.pid = 31, .parent = 30, .own = 9s},
              {.pid = 40, .parent = 1, .own = 10s}});
  // Everything but 1, 5, 20, 30 ends, and each process spent one second more before: ten in all.
  meter.look({{.pid = 1, .own = 2s, .reaped = 11s},
              {.pid = 5, .parent = 1, .own = 3s, .reaped = 15s},
              {.pid = 20, .parent = 1, .own = 7s, .reaped = 8s},
              {.pid = 30, .parent = 1, .own = 9s, .reaped = 10s}});
  CHECK(meter.usage(kServer) == 2s);
  CHECK(meter.charges.collector == Usage{2s});
  CHECK(meter.charges.unattributed == Usage{3s});
  CHECK(meter.nobodys() == 3s);
  CHECK(meter.everything() == 10s);
}

TEST_CASE("with scope process a root is charged its own time and its children are nobody's") {
  Meter meter;
  meter.scope = Scope::process;
  meter.tmux(5).root(10, kSession).root(20, kServer);
  meter.look({{.pid = 5},
              {.pid = 10, .parent = 5, .own = 1s, .reaped = 9s},
              {.pid = 11, .parent = 10, .own = 3s},
              {.pid = 20, .own = 2s}});
  CHECK(meter.source(kSession).processes == 1);
  CHECK(meter.membership.size() == 2);
  meter.look({{.pid = 5},
              {.pid = 10, .parent = 5, .own = 3s, .reaped = 14s},
              {.pid = 12, .parent = 10, .own = 4s, .start = 105s},
              {.pid = 20, .own = 2500ms}});
  CHECK(meter.usage(kSession) == 2s);
  CHECK(meter.source(kSession).resident == Bytes{1000});
  CHECK(meter.usage(kServer) == 500ms);
  CHECK(meter.process(12).why == Attribution::nobody);
  CHECK(meter.process(12).usage == Usage{4s});
  SECTION("a root that was born since is charged all of its own time, one that ended leaves nothing") {
    meter.root(30, kOther, 115s);
    meter.look(
        {{.pid = 5, .reaped = 25s}, {.pid = 20, .own = 2500ms}, {.pid = 30, .own = 1s, .reaped = 5s, .start = 115s}});
    CHECK(meter.usage(kOther) == 1s);
    CHECK(meter.charges.sources.size() == 2);
    CHECK(meter.charges.unattributed == Usage{});
  }
}

TEST_CASE("with scope process a root that was not seen before is a baseline") {
  Meter meter;
  meter.scope = Scope::process;
  meter.look({{.pid = 1}});
  meter.root(10, kServer, 50s).look({{.pid = 1}, {.pid = 10, .parent = 1, .own = 60s, .start = 50s}});
  CHECK(meter.source(kServer).processes == 1);
  CHECK(meter.usage(kServer) == 0s);
}

TEST_CASE("with scope process nothing is remembered, and own time that goes back is nothing") {
  Meter meter;
  meter.scope = Scope::process;
  meter.root(10, kServer).look({{.pid = 10, .own = 5s}, {.pid = 11, .parent = 10}});
  meter.look({{.pid = 10, .own = 4s, .reaped = 9s}, {.pid = 11, .parent = 10}});
  CHECK(meter.usage(kServer) == 0s);
  meter.no_root(10).look({{.pid = 10, .own = 5s, .reaped = 9s}, {.pid = 11, .parent = 10}});
  CHECK(meter.charges.sources.empty());
  CHECK(meter.membership.size() == 0);
}

TEST_CASE("a circle among parents, or a process that is its own parent, ends no walk and hands nothing down") {
  Meter meter;
  meter.root(10, kServer);
  const std::vector<TreeProcess> processes{{.pid = 10, .parent = 10},
                                           {.pid = 20, .parent = 22, .own = 1s},
                                           {.pid = 21, .parent = 20, .own = 1s},
                                           {.pid = 22, .parent = 21, .own = 1s},
                                           {.pid = 23, .parent = 22, .own = 1s}};
  meter.look(processes);
  meter.look(processes);
  CHECK(meter.source(kServer).processes == 1);
  meter.look({{.pid = 10, .parent = 10}, {.pid = 20, .parent = 20, .reaped = 5s}});
  CHECK(meter.everything() <= 5s);
}

TEST_CASE("a deep chain of fifty thousand processes is charged without recursion") {
  Meter meter;
  meter.root(1000, kServer);
  std::vector<TreeProcess> chain;
  for (Pid pid = 1000; pid < 51'000; ++pid) {
    chain.push_back({.pid = pid, .parent = pid - 1, .own = 1s});
  }
  meter.look(chain);
  CHECK(meter.source(kServer).processes == 50'000);
  meter.look({{.pid = 1000, .own = 1s, .reaped = 50'000s}});
  CHECK(meter.usage(kServer) == 1s);
}

TEST_CASE("no processes at all are a look as well") {
  Meter meter;
  meter.root(10, kServer).look({});
  CHECK(meter.charges.sources.empty());
  meter.look({{.pid = 10}});
  meter.look({});
  CHECK(meter.charges.processes.empty());
  CHECK(meter.membership.size() == 0);
}
