#include "bench/harness/fleet_description.h"

#include <fstream>
#include <iterator>

#include "bench/harness/json_reader.h"

namespace fleetledger::bench {
namespace {

int pid_in(const Json& object, const char* name) { return static_cast<int>(number_in(object, name)); }

}  // namespace

Result<std::vector<DescribedAgent>> read_fleet(const std::string& root) {
  const std::string path = root + "/fleet.json";
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto json = parsed(text);
  if (!json.IsObject()) return fail("read " + path + ": no fleet is described there");
  std::vector<DescribedAgent> agents;
  for (const auto& agent : list_in(json, "agents")) {
    DescribedAgent described{text_in(agent, "name"), pid_in(agent, "serverPid"), text_in(agent, "serverTruth"), {}};
    for (const auto& session : list_in(agent, "sessions")) {
      described.sessions.push_back({text_in(session, "id"), text_in(session, "tmuxSession"), text_in(session, "load"),
                                    text_in(session, "truth"), pid_in(session, "panePid")});
    }
    agents.push_back(std::move(described));
  }
  return agents;
}

}  // namespace fleetledger::bench
