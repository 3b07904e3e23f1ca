#include "bench/fleet/fleet_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <random>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>
#include <set>
#include <string_view>
#include <unistd.h>

namespace fleetledger::fleet {
namespace {

using std::chrono::milliseconds;

constexpr int kFirstPort = 4040;
constexpr int kPorts = 60;

WallTime now() { return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now()); }

std::string iso(WallTime time) {
  const auto ms = time.time_since_epoch().count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text.data() + size, text.size() - size, ".%03dZ", static_cast<int>(ms % 1000));
  return text.data();
}

/// Writes one JSON document; a thin hand over RapidJSON's writer.
class Json {
 public:
  Json() { writer_.SetIndent(' ', 2); }

  Json& object() { return writer_.StartObject(), *this; }
  Json& end() { return writer_.EndObject(), *this; }
  Json& array(const char* name) { return writer_.Key(name), writer_.StartArray(), *this; }
  Json& end_array() { return writer_.EndArray(), *this; }
  Json& object(const char* name) { return writer_.Key(name), object(); }
  Json& text(const char* name, const std::string& value) { return writer_.Key(name), item(value); }
  Json& number(const char* name, std::int64_t value) { return writer_.Key(name), writer_.Int64(value), *this; }
  Json& flag(const char* name, bool value) { return writer_.Key(name), writer_.Bool(value), *this; }
  Json& item(const std::string& value) {
    return writer_.String(value.data(), static_cast<rapidjson::SizeType>(value.size())), *this;
  }
  [[nodiscard]] std::string done() const { return std::string(buffer_.GetString(), buffer_.GetSize()) + "\n"; }

 private:
  rapidjson::StringBuffer buffer_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> writer_{buffer_};
};

std::string token_for(std::uint64_t seed, int agent) {
  std::mt19937_64 random(seed * 1000 + static_cast<std::uint64_t>(agent));
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(random()),
                static_cast<unsigned long long>(random()));
  return text.data();
}

bool plain_name(const std::string& name) {
  return !name.empty() && name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
                              std::string::npos;
}

Result<void> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail("make the folder " + path + ": " + error.message());
  return {};
}

std::string agent_config(const FleetAgent& agent, const FleetOptions& options) {
  Json json;
  json.object().text("projectName", agent.name).number("port", agent.port).text("authToken", agent.token);
  if (agent.development) json.flag("developmentAgent", true);
  json.object("sessions").array("protectedSessions").item(agent.name + "-server").end_array().end();
  if (options.interval || options.idle_interval) {
    json.object("monitoring").object("resourceLedger");
    if (options.interval) json.number("sampleIntervalMs", options.interval->count());
    if (options.idle_interval) json.number("idleSampleIntervalMs", options.idle_interval->count());
    json.end().end();
  }
  return json.end().done();
}

std::string ended_session(const FleetAgent& agent, int number, WallTime created) {
  constexpr std::array kHows{"completed", "failed", "killed"};
  const std::string id = "ended-" + std::to_string(number);
  const auto start = created - std::chrono::hours{number + 1};
  // Every fourth is a ghost: it names the tmux session of a live one, which is not its own any more.
  const bool ghost = number % 4 == 0 && !agent.sessions.empty();
  return Json()
      .object()
      .text("id", id)
      .text("name", id)
      .text("status", kHows[static_cast<std::size_t>(number) % kHows.size()])
      .text("tmuxSession", ghost ? agent.sessions.front().tmux_session : agent.name + "-" + id)
      .text("startedAt", iso(start))
      .text("endedAt", iso(start + std::chrono::minutes{20}))
      .text("framework", "claude-code")
      .end()
      .done();
}

}  // namespace

Result<void> write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail("write " + path + ": " + std::strerror(errno));
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t size = write(fd, rest.data(), rest.size());
    if (size < 0) {
      const int error = errno;
      close(fd);
      return fail("write " + path + ": " + std::strerror(error));
    }
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
  close(fd);
  return {};
}

Result<void> replace_file(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  if (auto written = write_file(temporary, text); !written) return written;
  if (rename(temporary.c_str(), path.c_str()) != 0) return fail("replace " + path + ": " + std::strerror(errno));
  return {};
}

Result<Fleet> plan_fleet(const FleetOptions& options) {
  Fleet fleet;
  fleet.root = options.root;
  fleet.home = options.root + "/home";
  fleet.tmux_dir = options.root + "/tmux";
  fleet.created = now();
  std::set<std::string> used;
  std::size_t next_load = 0;
  for (int a = 0; a < options.agents; ++a) {
    const auto index = static_cast<std::size_t>(a);
    FleetAgent agent;
    agent.name = index < options.names.size() ? options.names[index] : "agent-" + std::to_string(a + 1);
    if (!plain_name(agent.name)) {
      return fail("name \"" + agent.name + "\": an agent's name here has letters, digits, _ and -");
    }
    if (!used.insert(agent.name).second) return fail("name \"" + agent.name + "\": two agents would share a folder");
    agent.path = fleet.home + "/.instar/agents/" + agent.name;
    agent.token = token_for(options.seed, a);
    agent.port = kFirstPort + a % kPorts;
    agent.development = a < options.agents - options.not_development;
    const std::string truth = options.root + "/truth/" + agent.name + "/";
    agent.server_truth = truth + "agent-server";
    for (int s = 0; s < options.sessions; ++s) {
      FleetSession session;
      if (!options.loads.empty()) session.load = options.loads[next_load++ % options.loads.size()];
      session.id = "s" + std::to_string(s + 1) + "-" + std::string(to_string(session.load.kind));
      session.tmux_session = agent.name + "-" + session.id;
      session.truth = truth + session.id;
      session.seed = options.seed + next_load;
      session.started = fleet.created;
      agent.sessions.push_back(std::move(session));
    }
    fleet.agents.push_back(std::move(agent));
  }
  return fleet;
}

Result<void> write_agents(const Fleet& fleet, const FleetOptions& options) {
  for (const FleetAgent& agent : fleet.agents) {
    const std::string sessions = agent.path + "/.instar/state/sessions";
    if (auto made = make_folder(sessions); !made) return made;
    if (auto made = make_folder(agent.path + "/logs"); !made) return made;
    if (auto made = make_folder(std::filesystem::path(agent.server_truth).parent_path()); !made) return made;
    if (auto made = write_file(agent.path + "/.instar/config.json", agent_config(agent, options)); !made) return made;
    for (int number = 0; number < options.ended_files; ++number) {
      const std::string path = sessions + "/ended-" + std::to_string(number) + ".json";
      if (auto made = write_file(path, ended_session(agent, number, fleet.created)); !made) return made;
    }
    for (const FleetSession& session : agent.sessions) {
      if (auto made = write_session(agent, session); !made) return made;
    }
  }
  return {};
}

Result<void> write_session(const FleetAgent& agent, const FleetSession& session) {
  Json json;
  json.object()
      .text("id", session.id)
      .text("name", session.id)
      .text("status", session.ended ? "completed" : "running")
      .text("tmuxSession", session.tmux_session)
      .text("startedAt", iso(session.started));
  if (session.ended) json.text("endedAt", iso(*session.ended));
  json.text("framework", "claude-code").text("cwd", agent.path).end();
  return write_file(agent.path + "/.instar/state/sessions/" + session.id + ".json", json.done());
}

Result<void> write_registry(const Fleet& fleet) {
  const std::string heartbeat = iso(now());
  Json json;
  json.object().number("version", 1).array("entries");
  for (const FleetAgent& agent : fleet.agents) {
    json.object()
        .text("name", agent.name)
        .text("type", "standalone")
        .text("path", agent.path)
        .number("port", agent.port)
        .number("pid", agent.server)
        .text("status", agent.server == 0 ? "stopped" : "running")
        .text("createdAt", iso(fleet.created))
        .text("lastHeartbeat", heartbeat)
        .end();
  }
  return replace_file(fleet.home + "/.instar/registry.json", json.end_array().end().done());
}

Result<void> write_description(const Fleet& fleet) {
  Json json;
  json.object().text("root", fleet.root).text("home", fleet.home).text("tmuxTmpdir", fleet.tmux_dir).array("agents");
  for (const FleetAgent& agent : fleet.agents) {
    json.object()
        .text("name", agent.name)
        .text("path", agent.path)
        .flag("developmentAgent", agent.development)
        .number("serverPid", agent.server)
        .text("serverTruth", agent.server_truth)
        .array("sessions");
    for (const FleetSession& session : agent.sessions) {
      json.object()
          .text("id", session.id)
          .text("tmuxSession", session.tmux_session)
          .text("load", std::string(to_string(session.load.kind)))
          .number("panePid", session.pane)
          .text("truth", session.truth)
          .end();
    }
    json.end_array().end();
  }
  return replace_file(fleet.root + "/fleet.json", json.end_array().end().done());
}

}  // namespace fleetledger::fleet
