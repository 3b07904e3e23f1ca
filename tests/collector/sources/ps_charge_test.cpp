#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "collector/sources/ps_history.h"
#include "core/charge.h"
#include "tests/support/printed_host.h"

// What ps prints is read and charged, look by look, and compared with what was spent.

using namespace fleetledger;
using namespace std::chrono_literals;

namespace {

using Host = test::PrintedHost;
constexpr Pid kInit = 1;
constexpr Pid kTmux = 50;

struct Server {
  std::int64_t age = 0;  // ticks
  double cores = 0;      // that its children kept busy all its life: it has waited for them
};

/// Sessions of one tmux server, one after the other: a shell in a shell that waits for one tool after the other. Each
/// is killed as a whole right after a look: the server waits for the pane, init for the others.
class Sessions {
 public:
  Sessions(std::uint32_t seed, const Server& server) : random_(seed), history_(host_.self()) {
    host_.now += Micros(random_() % 10'000'000);
    const auto waited_for = static_cast<std::int64_t>(static_cast<double>(server.age) * server.cores);
    host_.processes[kInit] = {.parent = 0, .start = 0, .own = 300, .reaped = 5 * host_.ticks() / 4};
    host_.processes[kTmux] = {.start = host_.ticks() - server.age, .own = 200, .reaped = waited_for};
    look();
    roots_.tmux_servers.push_back(last_.find(kTmux)->key);
  }

  /// Usage that was charged to the session, and that was spent by it.
  std::pair<Micros, Micros> live_and_die(int looks) {
    const Pid pane = pane_ += 1000;
    const std::int64_t start = host_.ticks() + 1;
    host_.processes[pane] = {.parent = kTmux, .start = start, .own = 1};
    Pid shell = pane + 1;
    Pid tool = shell + 1;
    host_.processes[shell] = {.parent = pane, .start = start, .own = 1};
    host_.processes[tool] = {.parent = shell, .start = start};
    std::int64_t spent = 2;
    charged_ = Micros{0};
    claim_ = {1, claim_.source + 1};
    for (int i = 0; i < looks; ++i) {
      const auto ticks = advance();
      const auto used = static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(ticks));
      host_.processes[tool].own += used;
      spent += used;
      if (random_() % 3 == 0) {
        host_.processes[shell].reaped += take(tool);
        host_.processes[pane].reaped += take(shell);
        shell += 2;
        tool += 2;
        host_.processes[shell] = {.parent = pane, .start = host_.ticks() - 1};
        host_.processes[tool] = {.parent = shell, .start = host_.ticks() - 1};
      }
      look();
    }
    host_.processes[kTmux].reaped += take(pane);
    host_.processes[kInit].reaped += take(shell) + take(tool);
    for (int i = 0; i < 5; ++i) {
      advance();
      look();
    }
    return {charged_, spent * Host::kTick};
  }

 private:
  std::int64_t advance() {
    const auto ticks = 200 + static_cast<std::int64_t>(random_() % 3);
    host_.now += ticks * Host::kTick + Micros(random_() % 10'000);
    host_.processes[kTmux].own += static_cast<std::int64_t>(random_() % 40);
    return ticks;
  }
  std::int64_t take(Pid pid) {
    const auto gone = host_.processes.extract(pid).mapped();
    return gone.own + gone.reaped;
  }
  void look() {
    auto now = history_.take(host_.look(Micros(2'000 + random_() % 4'000), Micros(6'000 + random_() % 10'000)));
    REQUIRE(now);
    roots_.claims.clear();
    if (const auto* pane = now->find(pane_)) {
      roots_.claims[pane->key] = claim_;
    }
    for (const auto& row : charge(last_, *now, roots_, membership_).sources) {
      charged_ += row.usage.micros();
    }
    last_ = std::move(*now);
  }

  std::mt19937 random_;
  Host host_;
  PsHistory history_;
  ProcessTable last_;
  Roots roots_;
  Membership membership_;
  Claim claim_{1, 0};
  Micros charged_{0};
  Pid pane_ = 10'000;  ///< of the last session
};

}  // namespace

TEST_CASE("a session that ended was charged all its life again, where what its tmux server had reaped is coarse") {
  constexpr std::int64_t kSecond = 100;  // ticks
  for (const auto& server :
       {Server{60 * kSecond, 0.3}, Server{300 * kSecond, 1.1}, Server{800 * kSecond, 0.35},
        Server{3 * 3600 * kSecond, 0.05}, Server{86'400 * kSecond, 0.6}, Server{30 * 86'400 * kSecond, 1.8}}) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
      Sessions sessions(seed, server);
      for (int session = 0; session < 5; ++session) {
        const auto [charged, spent] = sessions.live_and_die(3 + session * 4);
        INFO("server of " << server.age / kSecond << " s with " << server.cores << " cores, seed " << seed
                          << ", session " << session << ": charged " << charged.count() << ", spent " << spent.count());
        CHECK(std::chrono::abs(charged - spent) <= 2s);
      }
    }
  }
}
