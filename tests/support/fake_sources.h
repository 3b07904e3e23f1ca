#pragma once

#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "collector/sources/environment_source.h"
#include "collector/sources/pane_source.h"
#include "collector/sources/process_source.h"

namespace fleetledger::test {

/// A ProcessSource that answers what the test put into `next`, in that order; with nothing there, a failed look.
/// With `hold` set it answers only when the test calls answer().
class FakeProcessSource final : public ProcessSource {
 public:
  std::deque<Result<ProcessTable>> next;
  int calls = 0;
  bool hold = false;

  void look(Done done) override {
    ++calls;
    waiting_ = std::move(done);
    if (!hold) {
      answer();
    }
  }
  [[nodiscard]] bool waiting() const { return waiting_ != nullptr; }
  void answer() {
    Result<ProcessTable> table = fail("look at processes: the test has no more tables");
    if (!next.empty()) {
      table = std::move(next.front());
      next.pop_front();
    }
    std::exchange(waiting_, nullptr)(std::move(table));
  }

 private:
  Done waiting_;
};

/// A PaneSource that answers `panes` each time, until the test changes it. With `hold` set it answers only when the
/// test calls answer().
class FakePaneSource final : public PaneSource {
 public:
  Result<std::vector<Pane>> panes = std::vector<Pane>{};
  int calls = 0;
  bool hold = false;

  void list(Done done) override {
    ++calls;
    waiting_ = std::move(done);
    if (!hold) {
      answer();
    }
  }
  [[nodiscard]] bool waiting() const { return waiting_ != nullptr; }
  void answer() { std::exchange(waiting_, nullptr)(panes); }

 private:
  Done waiting_;
};

/// An EnvironmentSource that knows the processes in `says` by their pids and remembers whom it was asked about.
class FakeEnvironmentSource final : public EnvironmentSource {
 public:
  std::map<Pid, Declaration> says;
  std::vector<std::vector<Pid>> asked;

  std::vector<DeclaredProcess> read(std::span<const ProcessKey> processes, Micros) override {
    std::vector<DeclaredProcess> declared;
    asked.emplace_back();
    for (const auto& process : processes) {
      asked.back().push_back(process.pid);
      if (const auto found = says.find(process.pid); found != says.end()) {
        declared.push_back({process, found->second});
      }
    }
    return declared;
  }
};

}  // namespace fleetledger::test
