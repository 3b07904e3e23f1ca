#include "collector/sources/ps_history.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "tests/support/printed_host.h"

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

using Host = test::PrintedHost;
constexpr Micros kTick = Host::kTick;
constexpr Pid kSelf = Host::kSelf;

Micros error_of(CpuTotal read, std::int64_t ticks) { return std::chrono::abs(read.since_start() - ticks * kTick); }

Micros percentile(std::vector<Micros>& values, double share) {
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

}  // namespace

TEST_CASE("a young process's times are exact where only one age fits what ps printed") {
  Host host;
  PsHistory history(host.self());
  REQUIRE(history.take(host.look()));
  host.now += 500ms;
  host.processes[2000] = {.start = host.ticks() - 41, .own = 23, .reaped = 17};
  const auto table = history.take(host.look());
  REQUIRE(table);
  CHECK(table->find(2000)->own.since_start() == 230ms);
  CHECK(table->find(2000)->with_reaped.since_start() == 400ms);
}

namespace {

/// How far the totals read were from the truth, and how far what was read of one tick was.
struct Accuracy {
  std::vector<Micros> totals;
  std::vector<Micros> ticks;
};

struct Load {
  std::int64_t age = 0;      // ticks, when first seen
  double lifelong = 0;       // busy cores so far, own and reaped
  double busiest = 1;        // cores in a tick
  double reaped_part = 0.3;  // of both
};

/// Sixty lives of thirty looks each, two seconds apart, under a load that changes from tick to tick.
Accuracy measure(const Load& load) {
  std::mt19937 random(1);
  std::uniform_real_distribution<> unit(0, 1);
  Accuracy accuracy;
  for (int life = 0; life < 60; ++life) {
    Host host;
    host.now += Micros(random() % 10'000'000);
    PsHistory history(host.self());
    const auto used_before = static_cast<double>(load.age) * load.lifelong * unit(random);
    host.processes[2000] = {.start = host.ticks() - load.age,
                            .own = static_cast<std::int64_t>(used_before * (1 - load.reaped_part)),
                            .reaped = static_cast<std::int64_t>(used_before * load.reaped_part)};
    auto& work = host.processes[2000];
    std::optional<ProcessReading> last;
    std::int64_t last_total = 0;
    for (int tick = 0; tick < 30; ++tick) {
      const auto interval = 200 + static_cast<std::int64_t>(random() % 3);
      host.now += interval * kTick + Micros(random() % 10'000);
      const auto used = static_cast<double>(interval) * unit(random) * load.busiest;
      work.own += static_cast<std::int64_t>(used * (1 - load.reaped_part));
      work.reaped += static_cast<std::int64_t>(used * load.reaped_part);
      const auto table = history.take(host.look(Micros(2'000 + random() % 4'000), Micros(6'000 + random() % 10'000)));
      REQUIRE(table);
      const auto* now = table->find(2000);
      REQUIRE(now != nullptr);
      const auto total = work.own + work.reaped;
      // Whatever else: inside the second that ps printed, and never falling.
      REQUIRE(now->own.since_start() / 1s == work.own / 100);
      REQUIRE(now->with_reaped.since_start() / 1s == total / 100);
      REQUIRE(now->own <= now->with_reaped);
      if (last) {
        REQUIRE(now->key == last->key);
        REQUIRE(now->own >= last->own);
        REQUIRE(now->with_reaped >= last->with_reaped);
        const auto usage = now->with_reaped - last->with_reaped;
        accuracy.ticks.push_back(std::chrono::abs(usage.micros() - (total - last_total) * kTick));
        accuracy.totals.push_back(error_of(now->with_reaped, total));
        accuracy.totals.push_back(error_of(now->own, work.own));
      }
      last = *now;
      last_total = total;
    }
  }
  return accuracy;
}

}  // namespace

TEST_CASE("totals stay inside the printed second, never fall, and are as good as their age allows") {
  struct Bar {
    Load load;
    Micros total_median;
    Micros tick_median;
    Micros tick_p90;
  };
  for (const auto& bar : {
           Bar{{.age = 0}, 10ms, 10ms, 10ms},
           Bar{{.age = 2'00, .lifelong = 0.9}, 10ms, 10ms, 10ms},
           Bar{{.age = 60'00, .lifelong = 0.9}, 20ms, 10ms, 20ms},
           Bar{{.age = 600'00, .lifelong = 0.9}, 20ms, 10ms, 20ms},
           Bar{{.age = 600'00, .lifelong = 0.9, .reaped_part = 1}, 20ms, 10ms, 20ms},
           Bar{{.age = 3'600'00, .lifelong = 0.9}, 30ms, 20ms, 50ms},
           Bar{{.age = 86'400'00, .lifelong = 0.9}, 250ms, 300ms, 600ms},
           Bar{{.age = 864'000'00, .lifelong = 0.9}, 500ms, 400ms, 900ms},
           // Several cores busy: the share is capped, and %cpu has no decimals.
           Bar{{.age = 60'00, .lifelong = 3, .busiest = 4, .reaped_part = 0}, 250ms, 250ms, 600ms},
           Bar{{.age = 60'00, .lifelong = 3, .busiest = 4}, 250ms, 250ms, 600ms},
       }) {
    auto accuracy = measure(bar.load);
    INFO("age " << bar.load.age / 100 << " s, up to " << bar.load.busiest << " cores");
    CHECK(percentile(accuracy.totals, 0.5) <= bar.total_median);
    CHECK(percentile(accuracy.ticks, 0.5) <= bar.tick_median);
    CHECK(percentile(accuracy.ticks, 0.9) <= bar.tick_p90);
  }
}

TEST_CASE("a short tool that a slow ps shows is not read above what it can have used") {
  // Such a reading was charged, and what the tool's parent had reaped of it then had no room to take it off again.
  Host host;
  PsHistory history(host.self());
  std::mt19937 random(11);
  for (int i = 0; i < 500; ++i) {
    REQUIRE(history.take(host.look(300ms, 900ms)));
    host.now += 2s;
    host.processes.erase(2000 + i - 1);
    const auto age = 2 + static_cast<std::int64_t>(random() % 150);
    const auto used = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(age + 1));
    host.processes[2000 + i] = {.start = host.ticks() - age, .own = used};
    const auto table = history.take(host.look(300ms, 900ms));
    REQUIRE(table);
    INFO("age " << age << ", used " << used);
    CHECK(table->find(2000 + i)->with_reaped.since_start() <= used * kTick + table->moment().cpu_resolution);
  }
}

TEST_CASE("keys stay exactly, however the looks jitter") {
  std::mt19937 random(3);
  Host host;
  for (Pid pid = 2000; pid < 2100; ++pid) {
    host.processes[pid] = {.start = host.ticks() - static_cast<std::int64_t>(random() % 10'000'000)};
  }
  PsHistory history(host.self());
  const auto first = history.take(host.look());
  REQUIRE(first);
  for (int tick = 0; tick < 200; ++tick) {
    host.now += Micros(100'000 + random() % 5'000'000);
    const auto table = history.take(host.look(Micros(random() % 900'000), Micros(random() % 900'000)));
    REQUIRE(table);
    for (const auto& reading : first->readings()) {
      REQUIRE(table->find(reading.key) != nullptr);
    }
  }
}

TEST_CASE("starts are right to the second, so that the born are told from the old") {
  std::mt19937 random(5);
  Host host;
  PsHistory history(host.self());
  REQUIRE(history.take(host.look()));
  for (Pid pid = 2000; pid < 2200; ++pid) {
    host.now += Micros(random() % 3'000'000);
    const auto start = host.ticks() - static_cast<std::int64_t>(random() % 1'000);
    host.processes[pid] = {.start = start};
    const auto table = history.take(host.look());
    REQUIRE(table);
    CHECK(std::chrono::abs(table->find(pid)->key.start - BootTime{start * kTick}) <= 1s);
  }
}

TEST_CASE("a pid that is used again is another process, even if it started in the same second") {
  Host host;
  PsHistory history(host.self());
  host.processes[2000] = {.start = host.ticks() - 100, .own = 50, .reaped = 70};
  host.processes[3000] = {.start = host.ticks() - 100'00, .own = 50};
  const auto before = history.take(host.look()).value();
  host.now += 500ms;
  host.processes[2000] = {.start = host.ticks() - 30, .own = 20, .reaped = 2};  // its total fell: no counter falls
  host.processes[3000] = {.start = host.ticks() - 10, .own = 60};               // it started at another time
  const auto after = history.take(host.look()).value();
  const auto old_key = before.find(2000)->key;
  CHECK(after.find(2000)->key != old_key);
  CHECK(std::chrono::abs(after.find(2000)->key.start - old_key.start) <= 2s);
  CHECK(after.find(2000)->with_reaped.since_start() <= 400ms);
  CHECK(after.find(3000)->key.start > before.find(3000)->key.start + 90s);
  host.now += 2s;
  CHECK(history.take(host.look()).value().find(after.find(2000)->key) != nullptr);
}

TEST_CASE("a look without our own process fails and leaves what is remembered as it was") {
  Host host;
  host.processes[2000] = {.start = host.ticks() - 100};
  PsHistory history(host.self());
  const auto before = history.take(host.look()).value();
  auto without = host;
  without.processes.erase(kSelf);
  const auto failed = history.take(without.look());
  REQUIRE_FALSE(failed);
  CHECK(failed.error().text == "read the output of ps: our own process 1000 is not in it");
  host.now += 5s;
  CHECK(history.take(host.look()).value().find(before.find(2000)->key) != nullptr);
}

TEST_CASE("only what lives is remembered") {
  Host host;
  PsHistory history(host.self());
  for (Pid pid = 2000; pid < 12'000; ++pid) {
    host.processes.erase(pid - 3);
    host.processes[pid] = {.start = host.ticks()};
    host.now += 1s;
    REQUIRE(history.take(host.look()));
    REQUIRE(history.size() == host.processes.size());
  }
}

TEST_CASE("a ps that counts ages by another clock than ours is taken at its own word") {
  Host host;
  host.processes[2000] = {.start = host.ticks() - 77'00, .own = 12'34};
  auto self = host.self();
  self.start = *self.start - 5000s;
  PsHistory history(self);
  const auto before = history.take(host.look()).value();
  host.now += 10s;
  host.processes[2000].own += 5'00;
  const auto after = history.take(host.look()).value();
  REQUIRE(after.find(before.find(2000)->key) != nullptr);
  const auto usage = after.find(2000)->own - before.find(2000)->own;
  CHECK(usage.seconds() == Approx(5).margin(0.5));
}

TEST_CASE("of two rows with one pid the later stays, and rows may come in any order") {
  Host host;
  host.processes[2000] = {.start = host.ticks() - 100'00, .name = "first"};
  host.processes[500] = {.start = host.ticks() - 100'00, .name = "low"};
  PsHistory history(host.self());
  auto look = host.look();
  std::reverse(look.rows.begin(), look.rows.end());
  look.rows.push_back(look.rows.front());
  look.rows.back().name = ProcessName("second");
  const auto table = history.take(look).value();
  REQUIRE(table.size() == 3);
  CHECK(table.find(2000)->name.view() == "second");
  CHECK(table.find(500)->name.view() == "low");
  CHECK(history.size() == 3);
}

TEST_CASE("the moment of a look lies in the middle of the run, and says how coarse it is") {
  Host host;
  PsHistory history(host.self());
  const auto table = history.take(host.look(4ms, 8ms)).value();
  CHECK(table.moment().boot == BootTime{host.now + 2ms});
  CHECK(table.moment().taken == MonotonicTime{host.now + 2ms});
  CHECK(table.moment().start_slack == 2s);
  CHECK(table.moment().cpu_resolution > 0s);
}

TEST_CASE("a process that started after ps had read its clock is a new one, not one of 136 years that has used much") {
  Host host;
  PsHistory history(host.self());
  REQUIRE(history.take(host.look()));
  host.now += 500ms;
  host.processes[2000] = {.start = host.ticks() + 1};
  CHECK(host.print().find("4123168608") != std::string::npos);
  const auto before = history.take(host.look());
  REQUIRE(before);
  const auto* young = before->find(2000);
  REQUIRE(young != nullptr);
  CHECK(young->with_reaped.since_start() == 0us);
  CHECK(std::chrono::abs(young->key.start - BootTime{host.now}) < 1s);
  host.now += 500ms;
  host.processes[2000].own = 12;
  const auto after = history.take(host.look());
  REQUIRE(after);
  CHECK(after->find(young->key) != nullptr);
  CHECK(error_of(after->find(2000)->own, 12) <= 20ms);
}

TEST_CASE("output that lacks a process that is still there is no look, wherever it breaks off") {
  Host host;
  std::map<Pid, BootTime> kernel;
  PsHistory history(host.self(), [&](Pid pid) {
    const auto found = kernel.find(pid);
    return found == kernel.end() ? std::nullopt : std::optional(found->second);
  });
  host.processes[1] = {};
  host.processes[2000] = {.start = host.ticks() - 500};
  host.processes[3000] = {.start = host.ticks() - 500};
  REQUIRE(history.take(host.look()));
  for (const auto& [pid, process] : host.processes) kernel[pid] = BootTime{process.start * kTick};
  host.now += 500ms;
  for (const Pid lost : {1, 2000, 3000}) {
    INFO(lost);
    Host cut = host;
    cut.processes.erase(lost);
    const auto table = history.take(cut.look());
    REQUIRE_FALSE(table);
    CHECK(table.error().text.find("process " + std::to_string(lost) + " is not in it, and is still there") !=
          std::string::npos);
  }
  CHECK(history.size() == 4);
  // One that is gone, and one whose pid is another's that came after ps.
  host.processes.erase(2000);
  host.processes.erase(3000);
  kernel.erase(2000);
  kernel[3000] = BootTime{host.now + 5ms};
  const auto table = history.take(host.look());
  REQUIRE(table);
  CHECK(table->size() == 2);
}
