#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

#include "collector/discovery/discovery.h"
#include "tests/support/temp_dir.h"

namespace fleetledger::test {

/// The host's time, later by `later`: 10 s make every file written so far an old one.
inline WallTime wall(std::chrono::seconds later = std::chrono::seconds{10}) {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now()) + later;
}

/// Replaces the content in place: the file keeps its inode.
inline void write_file(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

/// A home with a registry, agents and their sessions.
class FakeHome {
 public:
  struct Entry {
    std::string name;
    std::string path;
    int pid = 0;
    std::string heartbeat = "2025-03-01T12:00:00.000Z";
  };

  std::vector<Entry> entries;

  [[nodiscard]] std::string path() const { return std::filesystem::canonical(folder_.path()).string(); }
  [[nodiscard]] std::string registry() const { return path() + "/.instar/registry.json"; }

  /// Makes an agent's folder with this config and puts it into `entries`. Its path.
  std::string add(const std::string& name, const std::string& config = R"({"developmentAgent":true})",
                  std::string place = "") {
    if (place.empty()) place = name;
    const std::string agent = path() + "/agents/" + place;
    write_file(agent + "/.instar/config.json", config);
    entries.push_back({.name = name, .path = agent});
    return agent;
  }

  void write_registry() const {
    std::string text;
    for (const Entry& entry : entries) {
      text += (text.empty() ? "" : ",") + (R"({"name":")" + entry.name) + R"(","path":")" + entry.path + R"(","pid":)" +
              std::to_string(entry.pid) + R"(,"lastHeartbeat":")" + entry.heartbeat + "\"}";
    }
    // By rename, as Instar does it.
    write_file(registry() + ".tmp", R"({"version":1,"entries":[)" + text + "]}");
    std::filesystem::rename(registry() + ".tmp", registry());
  }

  [[nodiscard]] static std::string session_path(const std::string& agent, const std::string& id) {
    return agent + "/.instar/state/sessions/" + id + ".json";
  }

  static void write_session(const std::string& agent, const std::string& id, const std::string& status,
                            const std::string& more = "") {
    write_file(session_path(agent, id), R"({"id":")" + id + R"(","name":"name of )" + id + R"(","status":")" + status +
                                            R"(","tmuxSession":"tmux-)" + id + "\"" + more + "}");
  }

  [[nodiscard]] DiscoveryOptions options() const {
    DiscoveryOptions options;
    options.home = path();
    options.user = ::geteuid();
    return options;
  }

 private:
  TempDir folder_;
};

/// nullptr if the fleet has no agent at this path.
inline const Agent* agent_at(const Fleet& fleet, const std::string& path) {
  for (const Agent& agent : fleet.agents) {
    if (agent.identity.path == path) return &agent;
  }
  return nullptr;
}

inline bool mentions(const std::vector<std::string>& remarks, const std::string& text) {
  for (const std::string& remark : remarks) {
    if (remark.find(text) != std::string::npos) return true;
  }
  return false;
}

}  // namespace fleetledger::test
