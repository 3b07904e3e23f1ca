#pragma once

#include <string>
#include <vector>

#include "tests/e2e/host.h"
#include "tests/e2e/json.h"

namespace fleetledger::e2e {

/// A fleet of real processes that the generator keeps going until the test is over; the host takes its home.
class GeneratedFleet {
 public:
  /// `arguments`: of `fleetledger-fleet start`, without --root.
  GeneratedFleet(Host& host, const std::vector<std::string>& arguments);
  ~GeneratedFleet();
  GeneratedFleet(const GeneratedFleet&) = delete;
  GeneratedFleet& operator=(const GeneratedFleet&) = delete;

  [[nodiscard]] const std::string& root() const { return root_; }
  /// fleet.json: agents with name, path, serverPid, sessions; sessions with id, tmuxSession, panePid, truth.
  [[nodiscard]] const Json& description() const { return description_; }
  [[nodiscard]] const Json& agent(const std::string& name) const { return description_["agents"].with("name", name); }
  /// Ends it and its processes; the files stay if the arguments said --keep.
  void end();

 private:
  std::string root_;
  test::Program generator_;
  Json description_;
};

}  // namespace fleetledger::e2e
