#pragma once

#include <string>

namespace fleetledger {

/// Something that an operator has to mend, or (as a remark) should know.
struct Problem {
  std::string file;     ///< as it was named to us; "environment" for variables
  int line = 0;         ///< from 1; 0 where there is none
  std::string key;      ///< "sampling.scope", or a variable's name; empty where it concerns the whole file
  std::string message;  ///< one printable line

  friend bool operator==(const Problem&, const Problem&) = default;
};

/// `path:line: key: message`, without what is absent.
[[nodiscard]] inline std::string to_string(const Problem& problem) {
  std::string text = problem.file;
  if (problem.line > 0) text += ":" + std::to_string(problem.line);
  if (!problem.key.empty()) text += ": " + problem.key;
  return text + ": " + problem.message;
}

}  // namespace fleetledger
