#pragma once

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "core/process_table.h"

namespace fleetledger::test {

/// A model of how a kernel keeps processes and their CPU time: pids are used again, a child that ended is a zombie
/// until it is waited for, its time then moves to who waited, and children of the dead go to the nearest living
/// subreaper above them, at last to pid 1. Every step takes a millisecond, so that no two processes have one key.
class KernelModel {
 public:
  struct Process {
    ProcessKey key;
    Pid parent = 0;
    Micros own{0};
    Micros reaped{0};
    bool zombie = false;
    bool subreaper = false;
    bool ignores_children = false;  ///< its children vanish as they end, and their time with them
    std::vector<Pid> children;
  };

  /// Pids from 2 to `highest` are given out in a circle. Pid 1 is there from the start.
  explicit KernelModel(Pid highest) : highest_(highest) {
    processes_[1].key = {1, BootTime{}};
    processes_[1].subreaper = true;
  }

  [[nodiscard]] const std::map<Pid, Process>& processes() const { return processes_; }
  [[nodiscard]] bool alive(const ProcessKey& key) const {
    const auto found = processes_.find(key.pid);
    return found != processes_.end() && found->second.key == key;
  }
  [[nodiscard]] Process& at(Pid pid) { return processes_.at(pid); }
  [[nodiscard]] const Process& at(Pid pid) const { return processes_.at(pid); }

  ProcessKey spawn(Pid parent) {
    now_ += Micros{1000};
    do {
      last_pid_ = last_pid_ >= highest_ ? 2 : last_pid_ + 1;
    } while (processes_.count(last_pid_) != 0);
    auto& made = processes_[last_pid_];
    made.key = {last_pid_, BootTime{now_}};
    made.parent = parent;
    at(parent).children.push_back(last_pid_);
    return made.key;
  }

  /// Ends a process. Its children go to `adopter_of(pid)`; it is a zombie then, or gone where its parent ignores it.
  void exit(Pid pid) {
    now_ += Micros{1000};
    const auto adopter = adopter_of(pid);
    for (const auto child : std::exchange(at(pid).children, {})) {
      at(child).parent = adopter;
      at(adopter).children.push_back(child);
    }
    at(pid).zombie = true;
    if (at(at(pid).parent).ignores_children) {
      remove(pid);
    }
  }

  /// The parent of a zombie waits for it.
  void wait_for(Pid zombie) {
    auto& parent = at(at(zombie).parent);
    parent.reaped += at(zombie).own + at(zombie).reaped;
    remove(zombie);
  }

  /// Who gets the children of `pid` if it ends now.
  [[nodiscard]] Pid adopter_of(Pid pid) const {
    auto above = at(pid).parent;
    while (!at(above).subreaper || at(above).zombie) {
      above = at(above).parent;
    }
    return above;
  }

  /// `pid` and all that descends from it, parents before children.
  [[nodiscard]] std::vector<Pid> tree(Pid pid) const {
    std::vector<Pid> found{pid};
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto& children = at(found[i]).children;
      found.insert(found.end(), children.begin(), children.end());
    }
    return found;
  }

  /// Totals are cut to multiples of `tick`, as a kernel's accounting does; 0 shows all of them.
  [[nodiscard]] ProcessTable look(Micros tick = Micros{0}) {
    now_ += Micros{1000};
    const auto cut = [tick](Micros time) { return CpuTotal{tick.count() == 0 ? time : time - time % tick}; };
    std::vector<ProcessReading> readings;
    for (const auto& [pid, process] : processes_) {
      ProcessReading reading;
      reading.key = process.key;
      reading.parent = process.parent;
      reading.own = cut(process.own);
      reading.with_reaped = cut(process.own + process.reaped);
      reading.zombie = process.zombie;
      readings.push_back(reading);
    }
    return {{MonotonicTime{now_}, BootTime{now_}, tick, Micros{0}}, std::move(readings)};
  }

 private:
  void remove(Pid pid) {
    auto& siblings = at(at(pid).parent).children;
    siblings.erase(std::find(siblings.begin(), siblings.end(), pid));
    processes_.erase(pid);
  }

  std::map<Pid, Process> processes_;
  Pid highest_;
  Pid last_pid_ = 1;
  Micros now_{1'000'000};
};

}  // namespace fleetledger::test
