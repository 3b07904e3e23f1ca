#include "bench/micro/host.h"

#include <utility>
#include <vector>

namespace fleetledger::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kProcessesOfAgent = 25;
constexpr std::size_t kLengthOfChain = 5;
constexpr Pid kInit = 1;
constexpr Pid kTmux = 2;
constexpr Pid kFirstPid = 10;
constexpr Micros kTick = milliseconds{10};

class Maker {
 public:
  explicit Maker(std::size_t processes) : most_(processes) {
    add(kInit, 0);
    add(kTmux, kInit);
    two_.roots.tmux_servers.push_back({kTmux, BootTime{}});
    for (std::uint32_t agent = 1; before_.size() + 2 * kProcessesOfAgent <= most_; ++agent) {
      add_agent(agent);
      for (std::size_t i = 0; i < kProcessesOfAgent; ++i) {
        add(next_pid_++, kInit);  // nobody's
      }
    }
    while (before_.size() < most_) {
      add(next_pid_++, kInit);
    }
  }

  TwoLooks take() {
    two_.before = ProcessTable(moment(seconds{100}), std::move(before_));
    two_.now = ProcessTable(moment(seconds{160}), std::move(now_));
    return std::move(two_);
  }

 private:
  static ProcessTable::Moment moment(Micros at) { return {MonotonicTime{at}, BootTime{at}, kTick, Micros{0}}; }

  void add_agent(std::uint32_t agent) {
    const auto server = next_pid_++;
    claim(server, {agent, ++sources_});
    add(server, kInit);
    for (std::size_t i = 1; i < kProcessesOfAgent - 4 * kLengthOfChain; ++i) {
      add(next_pid_++, server);
    }
    for (int session = 0; session < 4; ++session) {
      claim(next_pid_, {agent, ++sources_});
      auto parent = kTmux;
      for (std::size_t i = 0; i < kLengthOfChain; ++i) {
        const auto pid = next_pid_++;
        add(pid, parent);
        parent = pid;
      }
    }
  }

  void claim(Pid pid, Claim whose) { two_.roots.claims.emplace(ProcessKey{pid, BootTime{}}, whose); }

  void add(Pid pid, Pid parent) {
    ProcessReading reading;
    reading.key = {pid, BootTime{}};
    reading.parent = parent;
    reading.own = CpuTotal{seconds{pid % 50}};
    reading.with_reaped = CpuTotal{seconds{pid % 50 + pid % 7}};
    reading.resident = {4096};
    reading.name = ProcessName("process");
    before_.push_back(reading);
    const bool replaced = pid >= kFirstPid && before_.size() % 100 == 0;
    if (replaced) {
      reading.key.start = BootTime{seconds{120}};  // by another of the same pid
      reading.own = reading.with_reaped = CpuTotal{kTick};
    } else {
      reading.own = CpuTotal{reading.own.since_start() + (pid % 3) * kTick};
      reading.with_reaped = CpuTotal{reading.with_reaped.since_start() + (pid % 5) * kTick};
    }
    now_.push_back(reading);
  }

  std::size_t most_;
  TwoLooks two_;
  std::vector<ProcessReading> before_;
  std::vector<ProcessReading> now_;
  Pid next_pid_ = kFirstPid;
  std::uint32_t sources_ = kOrphans;
};

}  // namespace

TwoLooks busy_host(std::size_t processes) { return Maker(processes).take(); }

}  // namespace fleetledger::bench
