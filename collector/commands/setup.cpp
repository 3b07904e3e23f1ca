#include "collector/commands/setup.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "backends/backends.h"
#include "collector/clock.h"
#include "collector/commands/table.h"
#include "collector/log.h"
#include "config/parse_config.h"
#include "config/paths.h"
#include "config/suggestion.h"

extern char** environ;

namespace fleetledger {
namespace {

constexpr std::size_t kLargestConfig = std::size_t{1} << 20U;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string user_home() {
  const auto home = variable("HOME");
  const auto* entry = home.empty() ? getpwuid(geteuid()) : nullptr;
  return entry == nullptr ? home : entry->pw_dir;
}

Environment our_environment() {
  Environment ours;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    // FLEETLEDGER_CONFIG names the file itself: it is no key of it.
    if (text.substr(0, 12) == "FLEETLEDGER_" && equals != std::string_view::npos &&
        text.substr(0, equals) != "FLEETLEDGER_CONFIG") {
      ours.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return ours;
}

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names;
  for (const auto& backend : backends()) {
    names.push_back(backend.name);
  }
  return names;
}

/// Why a file is not taken for our configuration, which says what programs we run; empty: it is.
std::string objection(const struct stat& found) {
  if (!S_ISREG(found.st_mode)) {
    return "is no regular file";
  }
  if (found.st_uid != geteuid() && found.st_uid != 0) {
    return "belongs to another user";
  }
  // In many homes all files may be written by the group that is its user's alone.
  const bool by_group = (found.st_mode & S_IWGRP) != 0 && found.st_gid != getegid();
  if (by_group || (found.st_mode & S_IWOTH) != 0) {
    return "can be written by other users (chmod go-w mends that)";
  }
  return {};
}

/// The operator's own file: links are followed. Looked at before it is opened: to open a device can have effects.
Result<std::string> read_config_file(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    return fail(std::string("cannot be opened: ") + std::strerror(errno));
  }
  if (auto why = objection(found); !why.empty()) {
    return fail(std::move(why));
  }
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (file < 0) {
    return fail(std::string("cannot be opened: ") + std::strerror(errno));
  }
  Result<std::string> text = std::string(kLargestConfig + 1, '\0');
  if (fstat(file, &found) != 0) {
    text = fail(std::string("cannot be opened: ") + std::strerror(errno));
  } else if (auto why = objection(found); !why.empty()) {
    text = fail(std::move(why));
  } else {
    const auto size = pread(file, text->data(), text->size(), 0);
    if (size < 0) {
      text = fail(std::string("cannot be read: ") + std::strerror(errno));
    } else {
      text->resize(static_cast<std::size_t>(size));  // one byte too many is told by parse_config
    }
  }
  close(file);
  return text;
}

/// Whether there is nothing of this name: a link that leads nowhere is something, and so is what we may not see.
bool is_absent(const std::string& path) {
  struct stat found {};
  return lstat(path.c_str(), &found) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/// How many ledgers may stay open: each takes six descriptors, and two thirds of them are for other things.
std::size_t open_ledgers() {
  constexpr rlim_t kMost = 1024;
  constexpr rlim_t kLimitPerLedger = 18;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::size_t>(std::clamp<rlim_t>(limit.rlim_cur / kLimitPerLedger, 1, kMost));
}

}  // namespace

Setup load_setup(const CommonArguments& common) {
  Setup setup;
  const auto paths = user_paths({.home_option = common.home.value_or(""),
                                 .home = user_home(),
                                 .xdg_config_home = variable("XDG_CONFIG_HOME"),
                                 .xdg_state_home = variable("XDG_STATE_HOME")});
  if (!paths) {
    setup.problems.push_back({"environment", 0, "HOME", paths.error().text});
    return setup;
  }
  const auto from_environment = variable("FLEETLEDGER_CONFIG");
  const bool named = common.config || !from_environment.empty();
  setup.file = common.config.value_or(named ? from_environment : paths->config_file);

  std::string text;
  if (named || !is_absent(setup.file)) {
    auto read = read_config_file(setup.file);
    if (!read) {
      setup.problems.push_back({setup.file, 0, "", read.error().text});
    } else {
      text = std::move(*read);
    }
  }
  const auto names = backend_names();
  auto parsed = parse_config({.text = text, .file = setup.file, .environment = our_environment(), .backends = names});
  setup.problems.insert(setup.problems.end(), parsed.problems.begin(), parsed.problems.end());
  setup.remarks = std::move(parsed.remarks);
  setup.config = std::move(parsed.config);
  setup.config.storage.directory = expand_path(setup.config.storage.directory, *paths);
  auto& http = setup.config.http;
  http.operator_token_file = expand_path(http.operator_token_file, *paths);
  http.metrics_token_file = expand_path(http.metrics_token_file, *paths);
  for (auto& address : http.listen) {
    constexpr std::string_view kUnix = "unix:";
    if (address.starts_with(kUnix)) {
      address.replace(kUnix.size(), std::string::npos,
                      expand_path(std::string_view(address).substr(kUnix.size()), *paths));
    }
  }
  setup.places = {paths->home, paths->state, variable("TMUX_TMPDIR")};
  return setup;
}

void print_problems(const Setup& setup) {
  for (const auto& problem : setup.problems) {
    std::fprintf(stderr, "%s\n", to_string(problem).c_str());
  }
}

std::optional<Setup> load_good_setup(const CommonArguments& common) {
  auto setup = load_setup(common);
  print_problems(setup);
  if (!setup.problems.empty()) {
    return std::nullopt;
  }
  log::set_level(setup.config.log.level);
  return setup;
}

int print_error(const Error& error) {
  std::fprintf(stderr, "fleetledger: %s\n", error.text.c_str());
  return kExitFailed;
}

std::unique_ptr<LedgerStore> open_configured_store(const Setup& setup) {
  StoreOptions options;
  options.central_directory = setup.config.storage.directory;
  options.open_ledgers = open_ledgers();
  auto store = open_store(setup.config.storage.backend, options);
  if (!store) {
    print_error(store.error());
    return nullptr;
  }
  return std::move(*store);
}

std::shared_ptr<const Fleet> read_fleet(const Setup& setup) {
  Discovery discovery(discovery_options(setup.config, setup.places));
  return discovery.refresh(Depth::folders, system_clock().wall());
}

const Agent* find_agent(const Fleet& fleet, const std::string& wanted) {
  const auto last = wanted.find_last_not_of('/');  // as shells complete a path
  const auto path = wanted.substr(0, last == std::string::npos ? wanted.size() : last + 1);
  std::vector<const Agent*> found;
  std::vector<std::string> names;  // foreign text, for a terminal
  for (const auto& agent : fleet.agents) {
    names.push_back(printable(agent.identity.name));
    if (agent.identity.id == wanted || agent.identity.path == path) {
      return &agent;
    }
    if (agent.identity.name == wanted) {
      found.push_back(&agent);
    }
  }
  if (found.size() == 1) {
    return found.front();
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  std::string ids;
  for (const auto* agent : found) {
    ids += "\n  " + agent->identity.id;
  }
  print_error({found.empty()
                   ? "no agent is called " + wanted + did_you_mean(wanted, known) + "; `fleetledger agents` lists them"
                   : std::to_string(found.size()) + " agents are called " + wanted + "; name one by its id:" + ids});
  return nullptr;
}

}  // namespace fleetledger
