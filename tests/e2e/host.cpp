#include "tests/e2e/host.h"

#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <unistd.h>

#include "tests/e2e/json.h"

namespace fleetledger::e2e {
namespace {

std::string iso_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::string text(32, '\0');
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc));
  return text;
}

/// In one step, as agents write theirs: whoever reads it sees all of the old text or all of the new one.
void write_whole(const std::string& file, const std::string& text) {
  std::ofstream(file + ".new") << text;
  std::filesystem::rename(file + ".new", file);
}

}  // namespace

Host::Host() : program_(FLEETLEDGER_PROGRAM) {
  use(folder_ / "home", folder_ / "tmux");
  std::filesystem::create_directory(folder_ / "nobody");
}

Host::~Host() {
  if (std::filesystem::exists(tmux_dir_ + "/tmux-" + std::to_string(user()) + "/default")) {
    start_program({"/usr/bin/tmux", "kill-server"}).exit_code();
  }
  CHECK(test::await([&] { return test::processes_that_mention(folder_.path()).empty(); }));
}

void Host::use(const std::string& home, const std::string& tmux_dir) {
  home_ = home;
  tmux_dir_ = tmux_dir;
  std::filesystem::create_directories(home_);
  std::filesystem::create_directories(tmux_dir_);
  std::filesystem::permissions(tmux_dir_, std::filesystem::perms::owner_all);
}

void Host::as_ordinary_user() {
  constexpr uid_t kNobody = 65534;
  if (::geteuid() != 0) {
    return;
  }
  other_user_ = kNobody;
  // Where the build is that user may not be allowed to look.
  program_ = folder_ / "fleetledger";
  std::filesystem::copy_file(FLEETLEDGER_PROGRAM, program_);
}

uid_t Host::user() const { return other_user_.value_or(::getuid()); }

void Host::configure(const std::string& yaml) {
  configured_ = true;
  folder_.write("fleetledger.yaml", yaml, 0600);
}

std::vector<std::string> Host::environment() const {
  // --home stands in for HOME: nothing of "nobody" may be read or written.
  std::vector<std::string> variables{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + folder_ / "nobody",
                                     "TMUX_TMPDIR=" + tmux_dir_, "LC_ALL=C.UTF-8"};
  if (!served_) {
    variables.emplace_back("FLEETLEDGER_HTTP_ENABLED=false");
  }
  variables.insert(variables.end(), variables_.begin(), variables_.end());
  return variables;
}

test::Finished Host::run(const std::vector<std::string>& arguments) {
  auto program = start(arguments);
  const int code = program.exit_code();
  return {code, program.output(), program.errors()};
}

test::Program Host::start(const std::vector<std::string>& arguments) { return start_program(command(arguments)); }

std::vector<std::string> Host::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command{program_};
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.insert(command.end(), {"--home", home_});
  if (configured_) {
    command.insert(command.end(), {"--config", config_file()});
  }
  return command;
}

test::Program Host::start_program(const std::vector<std::string>& command) {
  if (other_user_) {
    REQUIRE(::lchown(folder_.path().c_str(), *other_user_, *other_user_) == 0);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      // What goes meanwhile needs no owner.
      static_cast<void>(::lchown(entry.path().c_str(), *other_user_, *other_user_) == 0);
    }
    const auto id = std::to_string(*other_user_);
    std::vector<std::string> as_user{"/usr/bin/setpriv", "--reuid",     id,    "--regid", id, "--clear-groups",
                                     "--inh-caps=-all",  "--pdeathsig", "KILL"};
    as_user.insert(as_user.end(), command.begin(), command.end());
    return {as_user, environment(), folder_ / ("output-" + std::to_string(++programs_))};
  }
  return {command, environment(), folder_ / ("output-" + std::to_string(++programs_))};
}

std::string Host::tmux(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{"/usr/bin/tmux", "-u", "-f", "/dev/null"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto program = start_program(command);
  if (program.exit_code() != 0) {
    throw std::runtime_error("tmux: " + program.errors());
  }
  return program.output();
}

std::string Host::make_agent(const std::string& name, const std::string& config) {
  const auto path = home_ + "/.instar/agents/" + name;
  std::filesystem::create_directories(path + "/.instar/state/sessions");
  write_agent_config(path, config);
  return path;
}

void Host::write_agent_config(const std::string& path, const std::string& config) {
  write_whole(path + "/.instar/config.json", config);
}

void Host::register_agents(const std::vector<Entry>& entries) {
  std::string text;
  for (const auto& [name, path, pid, heartbeat] : entries) {
    text += (text.empty() ? "" : ",\n") + std::string(R"({"type":"standalone","port":4040,"name":)") + json_text(name) +
            R"(,"path":)" + json_text(path) + R"(,"pid":)" + std::to_string(pid) + R"(,"status":")" +
            (pid == 0 ? "stopped" : "running") + R"(","createdAt":")" + iso_now() + R"(","lastHeartbeat":")" +
            (heartbeat.empty() ? iso_now() : heartbeat) + "\"}";
  }
  write_whole(home_ + "/.instar/registry.json", R"({"version":1,"entries":[)" + text + "]}");
}

void Host::write_session(const std::string& agent_path, const std::string& id, const std::string& tmux_session,
                         const std::string& status) {
  write_whole(agent_path + "/.instar/state/sessions/" + id + ".json",
              R"({"id":)" + json_text(id) + R"(,"name":)" + json_text(id) + R"(,"status":)" + json_text(status) +
                  R"(,"tmuxSession":)" + json_text(tmux_session) + R"(,"startedAt":)" + json_text(iso_now()) + "}");
}

bool is_cut_short(const std::string& log) { return log.find(" event=stopped ") != std::string::npos; }

std::string complaints_in(const std::string& log) {
  std::string complaints;
  for (const auto& line : test::lines_of(log)) {
    const bool late = line.find(" event=deadlines_skipped ") != std::string::npos;
    if (line.find(" level=info ") == std::string::npos && !late && !is_cut_short(line)) {
      complaints += line + '\n';
    }
  }
  return complaints;
}

}  // namespace fleetledger::e2e
