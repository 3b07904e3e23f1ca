#include "collector/discovery/home_registry.h"

#include <utility>

#include "config/values.h"

namespace fleetledger {
namespace {

constexpr std::size_t kLongestRegistry = std::size_t{4} << 20U;

}  // namespace

bool HomeRegistry::refresh(Uid user, WallTime now) {
  const FileLimits limits{.size = kLongestRegistry, .user = user};
  const auto instar = open_instar(home_);
  bool changed = identify(instar, which_);
  changed |= current_.refresh(instar, "registry.json", limits, now, parse_registry);
  if (current_.missing) {
    current_.good.reset();
    changed |= legacy_.refresh(instar, "port-registry.json", limits, now, parse_port_registry);
    if (legacy_.missing) legacy_.good.reset();
  }
  return changed;
}

const std::vector<RegistryEntry>& HomeRegistry::entries() const {
  static const std::vector<RegistryEntry> kNone;
  const auto& registry = current_.missing ? legacy_.good : current_.good;
  return registry ? registry->entries : kNone;
}

std::vector<std::string> HomeRegistry::remarks() const {
  const bool legacy = current_.missing && !legacy_.missing;
  const KeptFile<Registry>& file = legacy ? legacy_ : current_;
  const std::string name =
      "registry " + quoted(home_ + "/.instar/" + (legacy ? "port-registry.json" : "registry.json")) + ": ";
  std::vector<std::string> remarks;
  if (!file.problem.empty()) {
    remarks.push_back(name + file.problem + (file.good ? "; its agents stay as they were known" : ""));
  }
  if (file.good) {
    for (const std::string& remark : file.good->remarks) remarks.push_back(name + remark);
  }
  return remarks;
}

}  // namespace fleetledger
