#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/program.h"

namespace fleetledger::test {

/// Lets the disk under single agents' ledgers fail, as a program that is started with environment() sees it: the calls
/// that it makes to the system on files of `<agent>/.instar/server-data`. The faults:
/// hang: no call on anything in the agent's whole folder `.instar/agents/<agent>` comes back before the fault is over,
/// nor does one that begins to watch it; stall: so with its ledger alone; full: no room; readonly; broken: nothing can
/// be read or written; slow: a write takes a millisecond. An agent "exec" that stalls keeps children from becoming
/// their programs, one that hangs keeps those who start them.
class FaultyDisk {
 public:
  /// `folder`: of the test's own, for this alone; is made.
  explicit FaultyDisk(std::string folder) : folder_(std::move(folder)) { std::filesystem::create_directories(folder_); }

  [[nodiscard]] std::vector<std::string> environment() const {
    return {"LD_PRELOAD=" FAULTY_DISK_CALLS, "FAULTY_DISK=" + folder_};
  }
  void begin(const std::string& agent, const std::string& fault) const {
    std::ofstream(folder_ + '/' + agent + '.' + fault).flush();
  }
  void end(const std::string& agent, const std::string& fault) const {
    std::filesystem::remove(folder_ + '/' + agent + '.' + fault);
  }
  /// How many calls have come to stall so far.
  [[nodiscard]] std::size_t stalled(const std::string& agent) const {
    return lines_of(text_of_file(folder_ + '/' + agent + ".stalled")).size();
  }

 private:
  std::string folder_;
};

}  // namespace fleetledger::test
