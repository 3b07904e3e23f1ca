#pragma once

#include <string>

namespace fleetledger::bench {

/// What figures were measured on, and what else it had to do.
struct Machine {
  std::string cpu;  ///< the model's name
  int cores = 0;
  std::string kernel;
  double load_average = 0;  ///< of the last minute
  std::string time;         ///< now, UTC
};
[[nodiscard]] Machine this_machine();

/// For people, and as one JSON object.
[[nodiscard]] std::string machine_line(const Machine& machine);
[[nodiscard]] std::string machine_json(const Machine& machine);

}  // namespace fleetledger::bench
