#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

namespace fleetledger::e2e {

/// A user's home of the test's own, with tmux sockets of its own, and fleetledger to run on it. When it goes, it ends
/// its tmux server, fails the test if a process is left that was started here, and removes all files.
class Host {
 public:
  Host();
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] const test::TempDir& folder() const { return folder_; }
  [[nodiscard]] const std::string& home() const { return home_; }
  [[nodiscard]] const std::string& tmux_dir() const { return tmux_dir_; }
  /// Takes another home and other sockets: those of a generated fleet.
  void use(const std::string& home, const std::string& tmux_dir);

  /// Lets all that is started here run as an ordinary user: as "nobody" if the test is root's, else as who runs it.
  /// The files are that user's then. To be called first.
  void as_ordinary_user();
  [[nodiscard]] uid_t user() const;

  /// The collector's configuration from now on; YAML.
  void configure(const std::string& yaml);
  /// Lets the collector serve HTTP as it is configured. Otherwise it does not, so that tests do not meet at a port.
  void serve() { served_ = true; }
  /// For all that is started from now on: NAME=VALUE.
  void set_variables(std::vector<std::string> variables) { variables_ = std::move(variables); }
  [[nodiscard]] std::string config_file() const { return folder_ / "fleetledger.yaml"; }

  /// Runs `fleetledger <verb> ...` with this home and configuration to its end.
  [[nodiscard]] test::Finished run(const std::vector<std::string>& arguments);
  [[nodiscard]] test::Program start(const std::vector<std::string>& arguments);
  /// The command of start(), to be started behind another program.
  [[nodiscard]] std::vector<std::string> command(const std::vector<std::string>& arguments) const;
  /// Starts another program, with the same environment.
  [[nodiscard]] test::Program start_program(const std::vector<std::string>& command);
  /// A command of tmux on this host's socket: what it prints. Throws if it fails.
  std::string tmux(const std::vector<std::string>& arguments);

  /// An agent's folder with its config.json, not registered yet; its path.
  std::string make_agent(const std::string& name, const std::string& config = R"({"developmentAgent":true})");
  void write_agent_config(const std::string& path, const std::string& config);
  struct Entry {
    std::string name;
    std::string path;
    pid_t pid = 0;          ///< its server's
    std::string heartbeat;  ///< ISO 8601; empty: now
  };
  /// The registry, exchanged by rename.
  void register_agents(const std::vector<Entry>& entries);
  /// A session's file, rewritten in place; started now.
  void write_session(const std::string& agent_path, const std::string& id, const std::string& tmux_session,
                     const std::string& status = "running");

 private:
  [[nodiscard]] std::vector<std::string> environment() const;

  test::TempDir folder_;
  std::string home_;
  std::string tmux_dir_;
  bool configured_ = false;
  bool served_ = false;
  std::optional<uid_t> other_user_;
  std::vector<std::string> variables_;
  std::string program_;
  int programs_ = 0;
};

/// Whether a log says that its daemon, told to end, could not wait for all that was under way: on a busy host that is
/// nobody's fault.
[[nodiscard]] bool is_cut_short(const std::string& log);

/// The lines of a log that say that something is wrong; that a busy host made a tick late or cut the end short is not.
[[nodiscard]] std::string complaints_in(const std::string& log);

/// An agent's files, and a process of the test as its server.
class ServedAgent {
 public:
  ServedAgent(Host& host, const std::string& called, const std::string& config = R"({"developmentAgent":true})")
      : name(called), path(host.make_agent(name, config)), server(host.start_program({"/bin/sleep", "10000"})) {}

  std::string name;
  std::string path;
  test::Program server;

  [[nodiscard]] Host::Entry entry() const { return {name, path, server.pid(), ""}; }
};

}  // namespace fleetledger::e2e
