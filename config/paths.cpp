#include "config/paths.h"

#include <utility>

namespace fleetledger {
namespace {

bool absolute(std::string_view path) { return path.starts_with('/'); }

// The root alone becomes "", so that a slash and a name can follow any of them.
std::string without_end_slash(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

Result<UserPaths> user_paths(const PathSources& sources) {
  const bool replaced = !sources.home_option.empty();
  const std::string& given = replaced ? sources.home_option : sources.home;
  if (!absolute(given)) {
    const std::string what = replaced ? "--home " + given : "the user's home";
    return fail("find the configuration: " + what + " is not an absolute path", Error::Kind::invalid);
  }
  const std::string home = without_end_slash(given);
  const auto base = [&](const std::string& variable, std::string_view below_home) {
    return !replaced && absolute(variable) ? without_end_slash(variable) : home + std::string(below_home);
  };
  return UserPaths{
      .home = home.empty() ? "/" : home,
      .config_file = base(sources.xdg_config_home, "/.config") + "/fleetledger/config.yaml",
      .state = base(sources.xdg_state_home, "/.local/state") + "/fleetledger",
  };
}

std::string expand_path(std::string_view path, const UserPaths& paths) {
  for (const auto& [root, place] : {std::pair<std::string_view, std::string_view>{"~", paths.home},
                                    std::pair<std::string_view, std::string_view>{"<state>", paths.state}}) {
    if (!path.starts_with(root)) continue;
    const std::string_view rest = path.substr(root.size());
    if (rest.empty()) return std::string(place);
    if (rest.front() == '/') return without_end_slash(std::string(place)) + std::string(rest);
  }
  return std::string(path);
}

}  // namespace fleetledger
