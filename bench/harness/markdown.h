#pragma once

#include <string>

namespace fleetledger::bench {

/// The tables of the README's performance section from what parts wrote as JSON: who looks (peers), what they see
/// (sight) and how it grows (growth). A part that is not there, or whose text is no such JSON, is left out.
struct PartTexts {
  std::string machine;
  std::string peers;
  std::string sight;
  std::string growth;
};
[[nodiscard]] std::string performance_markdown(const PartTexts& parts);

}  // namespace fleetledger::bench
