#include "collector/configuration_standing.h"

namespace fleetledger {

std::string ConfigurationStanding::remark() const {
  if (!refused.empty()) {
    return "the configuration was refused, the old one stays in force: " + refused;
  }
  std::string keys;
  for (const auto& key : at_next_start) {
    keys += (keys.empty() ? "" : ", ") + key;
  }
  return keys.empty() ? "" : "takes effect at the next start: " + keys;
}

std::vector<std::string> takes_effect_at_next_start(const Config& started, const Config& now) {
  std::vector<std::string> keys;
  const auto add = [&](const char* key, bool differs) {
    if (differs) {
      keys.emplace_back(key);
    }
  };
  add("sampling.source", started.sampling.source != now.sampling.source);
  add("sampling.ps", started.sampling.ps != now.sampling.ps);
  add("sampling.tmux", started.sampling.tmux != now.sampling.tmux);
  add("sampling.timeout", started.sampling.timeout != now.sampling.timeout);
  add("storage.backend", started.storage.backend != now.storage.backend);
  add("storage.directory", started.storage.directory != now.storage.directory);
  add("http", started.http != now.http);
  return keys;
}

}  // namespace fleetledger
