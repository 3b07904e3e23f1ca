#include "collector/heaps.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_runtime.h"

using namespace fleetledger;
using namespace fleetledger::test;
using namespace std::chrono_literals;

namespace {

HeapQuestion question(const std::string& agent, Pid server = 100) {
  return {.agent = agent, .server = {server, {}}, .port = 4040, .token = Secret("token")};
}

struct Asked {
  FakeClock clock;
  FakeRuntime loop{clock};
  std::vector<std::string> asked;
  Result<Bytes> answer = Bytes{7};
  Heaps heaps{[this](const HeapQuestion& about) {
                asked.push_back(about.agent);
                return answer;
              },
              loop.runtime(), clock};

  /// How often this agent is asked in so many ticks in which it is due.
  std::size_t asks(int ticks, const HeapQuestion& about) {
    const auto before = asked.size();
    for (int tick = 0; tick < ticks; ++tick) {
      heaps.ask({{about, true}});
      loop.run_jobs();
    }
    return asked.size() - before;
  }
  [[nodiscard]] std::optional<Bytes> newest(const std::string& agent = "a", Pid server = 100, Micros age = 1s) const {
    return heaps.newest(agent, {server, {}}, clock.monotonic_now - age);
  }
};

}  // namespace

TEST_CASE("an answer counts for its server, as long as it is young") {
  Asked host;
  CHECK_FALSE(host.newest());
  host.heaps.ask({{question("a"), true}});
  CHECK(host.asked.empty());  // nothing is done on the loop
  CHECK_FALSE(host.newest());
  host.loop.run_jobs();
  CHECK(host.newest() == Bytes{7});
  CHECK_FALSE(host.newest("b"));
  CHECK_FALSE(host.newest("a", 101));
  host.loop.advance(999ms);
  CHECK(host.newest() == Bytes{7});
  host.loop.advance(1ms);
  CHECK_FALSE(host.newest());
  CHECK(host.newest("a", 100, 2s) == Bytes{7});

  // Not due: not asked, and nothing is forgotten. No longer there: forgotten.
  host.heaps.ask({{question("a"), false}});
  CHECK(host.loop.jobs.empty());
  CHECK(host.newest("a", 100, 2s) == Bytes{7});
  host.heaps.ask({});
  CHECK_FALSE(host.newest("a", 100, 2s));
}

TEST_CASE("who does not answer is asked less and less often, until it is another") {
  Asked host;
  host.answer = fail("nothing listens there");
  CHECK(host.asks(1, question("a")) == 1);
  CHECK(host.asks(1, question("a")) == 0);
  CHECK(host.asks(1, question("a")) == 1);
  CHECK(host.asks(3, question("a")) == 0);
  CHECK(host.asks(1, question("a")) == 1);
  CHECK(host.asks(640, question("a")) <= 15);
  CHECK(host.asks(640, question("a")) == 10);  // and never less
  for (auto other : {question("a", 101), question("a", 101), question("a", 101)}) {
    static std::uint16_t port = 4041;
    other.port = port++;
    CHECK(host.asks(1, other) == 1);
  }
  auto other = question("a", 102);
  other.token = Secret("another");
  CHECK(host.asks(1, other) == 1);
  host.answer = Bytes{1};
  CHECK(host.asks(2, other) == 1);
  CHECK(host.asks(3, other) == 3);
}

TEST_CASE("servers that hang take few threads, and nobody is asked twice at a time") {
  Asked host;
  std::vector<Heaps::Candidate> many;
  for (int i = 0; i < 10; ++i) {
    many.push_back({question("agent" + std::to_string(i)), true});
  }
  host.heaps.ask(many);
  CHECK(host.loop.jobs.size() == Heaps::kAtOnce);
  host.heaps.ask(many);
  CHECK(host.loop.jobs.size() == Heaps::kAtOnce);
  // The last one goes before its turn; those that are being asked may go too.
  many.pop_back();
  host.heaps.ask(many);
  host.loop.run_jobs();
  CHECK(host.asked.size() == 9);
  CHECK(host.newest("agent8") == Bytes{7});
}

TEST_CASE("an answer to an old question is no answer to the new one") {
  Asked host;
  host.heaps.ask({{question("a", 100), true}});
  host.heaps.ask({{question("a", 101), true}});
  REQUIRE(host.loop.jobs.size() == 2);
  host.loop.run_job();
  CHECK_FALSE(host.newest("a", 100));
  CHECK_FALSE(host.newest("a", 101));
  host.loop.run_job();
  CHECK(host.newest("a", 101) == Bytes{7});
}
