#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace fleetledger {

/// Environment variables by name. Those that do not start with FLEETLEDGER_ are not looked at.
using Environment = std::map<std::string, std::string>;

struct ConfigSource {
  std::string_view text;                       ///< the YAML; empty where there is no file
  std::string file;                            ///< what problems call it
  Environment environment;                     ///< wins over the file
  std::span<const std::string_view> backends;  ///< what storage.backend may be
};

struct ParsedConfig {
  Config config;                  ///< to be used only if there are no problems
  std::vector<Problem> problems;  ///< all of them, the file's first, by line; of more than 100 the first 100
  std::vector<Problem> remarks;   ///< what was put right: a period below 1 s that was raised

  [[nodiscard]] bool ok() const { return problems.empty(); }
};

/// Reads and checks the configuration. Pure; never throws, whatever it is given.
///
/// The variable of `section.key` is FLEETLEDGER_SECTION_KEY: FLEETLEDGER_SAMPLING_SCOPE=process. Single values have
/// one, lists and maps do not. A variable that starts with FLEETLEDGER_ and is none of them is a problem if it looks
/// like one (its section is known, or a known name is near), else a remark: other programs set variables too.
[[nodiscard]] ParsedConfig parse_config(const ConfigSource& source);

/// A key as documentation tells of it.
struct ConfigKey {
  std::string path;           ///< "sampling.scope", "discovery.overrides.<agent>.enabled"
  std::string form;           ///< what may stand there: "tree | process", "duration, 100ms to 1m"
  std::string default_value;  ///< as it is written in the file; empty where it is absent by default
  std::string meaning;        ///< half a sentence
  std::string variable;       ///< its environment variable; empty if it has none
};

/// Every key that there is, in the order of the example file.
[[nodiscard]] std::vector<ConfigKey> config_keys();

/// The table of config_keys() in Markdown, as the README shows it.
[[nodiscard]] std::string config_keys_markdown();

}  // namespace fleetledger
