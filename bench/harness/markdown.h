#pragma once

#include <map>
#include <string>

namespace fleetledger::bench {

/// What parts wrote as JSON, by file: "growth/growth.json", "growth/machine.json".
using PartTexts = std::map<std::string, std::string>;

/// What the READMEs quote, as it stands there: the headlines of the project's, then all that bench/README.md has, each
/// part with the machine, time and load that it was measured at. A part that is not there, or whose text is no such
/// JSON, is left out.
[[nodiscard]] std::string performance_markdown(const PartTexts& parts);

}  // namespace fleetledger::bench
