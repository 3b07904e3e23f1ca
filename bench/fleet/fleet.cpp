#include "bench/fleet/fleet.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <map>
#include <poll.h>
#include <sstream>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/fleet/marked.h"
#include "bench/fleet/pidfd.h"

namespace fleetledger::fleet {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// The generator holds this lock while it lives; the kernel gives it back however it ends. The file says who holds it
/// and whether the folder itself was made by it.
class FleetLock {
 public:
  static Result<FleetLock> open(const std::string& root, int flags) {
    const std::string path = root + "/lock";
    const int fd = ::open(path.c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fail("open " + path + ": " + std::strerror(errno));
    return FleetLock(fd);
  }
  FleetLock(FleetLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FleetLock& operator=(FleetLock&&) = delete;
  ~FleetLock() {
    if (fd_ >= 0) close(fd_);
  }

  [[nodiscard]] bool try_lock() const { return flock(fd_, LOCK_EX | LOCK_NB) == 0; }
  void lock() const {
    while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  void write_owner(bool made_root) const {
    const std::string text = std::to_string(getpid()) + (made_root ? " 1\n" : " 0\n");
    [[maybe_unused]] const ssize_t size = pwrite(fd_, text.data(), text.size(), 0);
  }
  [[nodiscard]] std::pair<Pid, bool> owner() const {
    std::array<char, 64> text{};
    const ssize_t size = pread(fd_, text.data(), text.size() - 1, 0);
    std::istringstream in(std::string(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0));
    std::pair<Pid, bool> told{0, false};
    in >> told.first >> told.second;
    return told;
  }

 private:
  explicit FleetLock(int fd) : fd_(fd) {}
  int fd_;
};

struct Descriptor {
  int fd = -1;
  Descriptor() = default;
  explicit Descriptor(int opened) : fd(opened) {}
  Descriptor(Descriptor&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept { return std::swap(fd, other.fd), *this; }
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

Descriptor signals_as_descriptor(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool readable(int fd, std::chrono::milliseconds wait) {
  pollfd ready{fd, POLLIN, 0};
  return poll(&ready, 1, static_cast<int>(wait.count())) > 0;
}

WallTime wall_now() {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

void remove_files(const std::string& root, bool made_root) {
  std::error_code ignored;
  for (const char* name : {"home", "truth", "tmux", "fleet.json", "sessions", "panes", "list-panes", "lock"}) {
    std::filesystem::remove_all(root + "/" + name, ignored);
  }
  if (made_root) std::filesystem::remove(root, ignored);  // only if nothing of others is in it
}

std::string spec_text(const LoadSpec& spec) {
  std::string text{to_string(spec.kind)};
  if (spec.kind != LoadKind::idle) text += ":" + std::to_string(spec.parameter);
  return text;
}

std::vector<std::string> load_command(const std::string& program, const LoadSpec& spec, const std::string& truth,
                                      std::uint64_t seed, const std::optional<Micros>& cpu_limit) {
  std::vector<std::string> argv{program, "load", spec_text(spec), "--truth", truth, "--seed", std::to_string(seed)};
  if (cpu_limit) argv.insert(argv.end(), {"--cpu", std::to_string(cpu_limit->count()) + "us"});
  return argv;
}

/// A word of tmux's command language; `text` holds no quote (checked for the root, all else is ours).
std::string quoted(const std::string& text) { return " '" + text + "'"; }

class Generator {
 public:
  Generator(const FleetOptions& options, const RunOptions& run, Fleet fleet)
      : options_(options), run_(run), fleet_(std::move(fleet)), environment_(marked_environment(fleet_.root)) {}

  Result<void> start() {
    const Descriptor stop = signals_as_descriptor({SIGTERM, SIGINT, SIGHUP});
    if (auto guard = spawn({run_.program, "guard", "--root", fleet_.root}, environment_, true); !guard) {
      return fail(guard.error());
    }
    if (auto made = write_agents(fleet_, options_); !made) return made;
    for (FleetAgent& agent : fleet_.agents) {
      auto server =
          spawn(load_command(run_.program, options_.server_load, agent.server_truth, options_.seed, {}), environment_);
      if (!server) return fail(server.error());
      agent.server = *server;
    }
    if (options_.sessions > 0) {
      auto started = options_.with_tmux ? start_tmux() : start_holder();
      if (!started) return started;
    }
    if (auto written = write_registry(fleet_); !written) return written;
    if (auto awaited = await_loads(stop.fd); !awaited) return awaited;
    return write_description(fleet_);
  }

  [[nodiscard]] const Fleet& fleet() const { return fleet_; }

  /// Until told to stop or the time is over: heartbeats, and files of sessions that have ended.
  Result<void> keep_going() {
    const Descriptor stop = signals_as_descriptor({SIGTERM, SIGINT, SIGHUP});
    const auto end = run_.duration ? steady_clock::now() + *run_.duration : steady_clock::time_point::max();
    std::vector<Watched> watched = watch_sessions();
    for (auto heartbeat = steady_clock::now() + run_.heartbeat; steady_clock::now() < end;) {
      std::vector<pollfd> fds{{stop.fd, POLLIN, 0}};
      for (const Watched& session : watched) fds.push_back({session.ended.fd, POLLIN, 0});
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::min(end, heartbeat) - steady_clock::now());
      poll(fds.data(), fds.size(), static_cast<int>(std::max(wait, 0ms).count()));
      if (fds[0].revents != 0) return {};
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      for (std::size_t i = watched.size(); i > 0; --i) {
        if (fds[i].revents == 0) continue;
        Watched& session = watched[i - 1];
        session.session->ended = wall_now();
        if (auto written = write_session(*session.agent, *session.session); !written) return written;
        watched.erase(watched.begin() + static_cast<std::ptrdiff_t>(i - 1));
      }
      if (steady_clock::now() < heartbeat) continue;
      if (auto written = write_registry(fleet_); !written) return written;
      heartbeat = steady_clock::now() + run_.heartbeat;
    }
    return {};
  }

  /// After the end of all processes: the files say so.
  Result<void> write_ended() {
    for (FleetAgent& agent : fleet_.agents) {
      agent.server = 0;
      for (FleetSession& session : agent.sessions) {
        if (session.ended) continue;
        session.ended = wall_now();
        if (auto written = write_session(agent, session); !written) return written;
      }
    }
    return write_registry(fleet_);
  }

 private:
  struct Watched {
    FleetAgent* agent;
    FleetSession* session;
    Descriptor ended;
  };

  Result<void> start_tmux() {
    std::string script;
    for (const FleetAgent& agent : fleet_.agents) {
      for (const FleetSession& session : agent.sessions) {
        script += "new-session -d -x 80 -y 24 -s" + quoted(session.tmux_session);
        for (const std::string& variable :
             {"INSTAR_AGENT_ID=" + agent.name, "INSTAR_SESSION_ID=" + session.id, "INSTAR_SESSION_NAME=" + session.id,
              "INSTAR_AGENT_HOME=" + agent.path, "INSTAR_AUTH_TOKEN=" + agent.token}) {
          script += " -e" + quoted(variable);
        }
        for (const std::string& word :
             load_command(run_.program, session.load, session.truth, session.seed, options_.cpu_limit)) {
          script += quoted(word);
        }
        script += "\n";
      }
    }
    const std::string path = fleet_.tmux_dir + "/sessions.conf";
    if (auto written = write_file(path, script); !written) return written;
    auto started = output_of({options_.tmux,
                              "-f",
                              "/dev/null",
                              "start-server",
                              ";",
                              "set",
                              "-g",
                              "exit-empty",
                              "off",
                              ";",
                              "set",
                              "-g",
                              "history-limit",
                              "10",
                              ";",
                              "set",
                              "-g",
                              "status",
                              "off",
                              ";",
                              "source-file",
                              path,
                              ";",
                              "list-panes",
                              "-a",
                              "-F",
                              "#{pane_pid} #{session_name}",
                              ";",
                              "set",
                              "-g",
                              "exit-empty",
                              "on"},
                             environment_);
    if (!started) return fail(started.error());
    std::map<std::string, Pid> panes;
    std::istringstream lines(*started);
    std::string name;
    for (Pid pid = 0; lines >> pid >> name;) panes[name] = pid;
    return take_panes(panes);
  }

  Result<void> start_holder() {
    std::string sessions;
    for (const FleetAgent& agent : fleet_.agents) {
      for (const FleetSession& session : agent.sessions) {
        sessions += session.tmux_session + '\t' + spec_text(session.load) + '\t' + std::to_string(session.seed) + '\t' +
                    std::to_string(options_.cpu_limit.value_or(Micros{0}).count()) + '\t' + session.truth + '\n';
      }
    }
    if (auto written = write_file(fleet_.root + "/sessions", sessions); !written) return written;
    const std::string fake = fleet_.root + "/list-panes";
    if (auto written = write_file(fake, "#!/bin/sh\nexec cat '" + fleet_.root + "/panes'\n"); !written) return written;
    chmod(fake.c_str(), 0700);
    auto holder = spawn({run_.program, "hold", "--root", fleet_.root}, environment_);
    if (!holder) return fail(holder.error());

    const std::string path = fleet_.root + "/panes";
    while (access(path.c_str(), R_OK) != 0) {
      if (waitpid(*holder, nullptr, WNOHANG) != 0) return fail("start the sessions: their holder ended");
      poll(nullptr, 0, 5);
    }
    std::map<std::string, Pid> panes;
    std::ifstream lines(path);
    Pid server = 0;
    Pid pid = 0;
    int dead = 0;
    for (std::string name; lines >> server >> pid >> dead >> name;) panes[name] = pid;
    return take_panes(panes);
  }

  Result<void> take_panes(const std::map<std::string, Pid>& panes) {
    for (FleetAgent& agent : fleet_.agents) {
      for (FleetSession& session : agent.sessions) {
        const auto pane = panes.find(session.tmux_session);
        if (pane == panes.end()) return fail("start session " + session.tmux_session + ": it has no pane");
        session.pane = pane->second;
      }
    }
    return {};
  }

  /// A load runs once its first row is written.
  Result<void> await_loads(int stop) {
    std::vector<std::string> missing;
    for (const FleetAgent& agent : fleet_.agents) {
      missing.push_back(agent.server_truth);
      for (const FleetSession& session : agent.sessions) missing.push_back(session.truth);
    }
    const auto give_up = steady_clock::now() + 60s;
    for (;;) {
      std::erase_if(missing, [](const std::string& truth) {
        struct stat status {};
        return stat((truth + ".jsonl").c_str(), &status) == 0 && status.st_size > 0;
      });
      if (missing.empty()) return {};
      if (steady_clock::now() > give_up) return fail("start the load of " + missing.front() + ": it does not begin");
      if (readable(stop, 10ms)) return fail("start the fleet: told to stop");
    }
  }

  /// Sessions in tmux end when their load does; those of a holder are idle ones in thousands, and not watched.
  std::vector<Watched> watch_sessions() {
    std::vector<Watched> watched;
    if (!options_.with_tmux) return watched;
    for (FleetAgent& agent : fleet_.agents) {
      for (FleetSession& session : agent.sessions) {
        // One that has ended already has no descriptor: /dev/null stands in, which is always ready.
        int fd = pidfd_open(session.pane, 0);
        if (fd < 0) fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        watched.push_back({&agent, &session, Descriptor(fd)});
      }
    }
    return watched;
  }

  const FleetOptions& options_;
  const RunOptions& run_;
  Fleet fleet_;
  std::vector<std::string> environment_;
};

Result<std::string> real_path(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  if (error) return fail("find " + path + ": " + error.message());
  return real.string();
}

/// The root as an absolute path, made if it is absent; `.second`: we made it.
Result<std::pair<std::string, bool>> take_root(const std::string& root) {
  const bool made = mkdir(root.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail("make the folder " + root + ": " + std::strerror(errno));
  auto real = real_path(root);
  if (!real) return fail(real.error());
  std::error_code error;
  if (!std::filesystem::is_empty(*real, error) || error) return fail("use " + *real + ": it is not an empty folder");
  if (real->find_first_of("'\"\\\n#;") != std::string::npos) {
    return fail("use " + *real + ": a path with quotes, backslashes, # or ; cannot be told to tmux");
  }
  if (real->size() + std::strlen("/tmux/tmux-4294967295/default") >= sizeof(sockaddr_un::sun_path)) {
    return fail("use " + *real + ": its path is too long for a socket below it");
  }
  return std::pair{*real, made};
}

void allow_many_files() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

Result<void> run_fleet(const FleetOptions& fleet, const RunOptions& run,
                       const std::function<void(const Fleet&)>& ready) {
  auto root = take_root(fleet.root);
  if (!root) return fail(root.error());
  FleetOptions options = fleet;
  options.root = root->first;
  const auto lock = FleetLock::open(options.root, O_CREAT | O_EXCL);
  if (!lock) return fail(lock.error());
  lock->lock();
  lock->write_owner(root->second);
  allow_many_files();

  Result<void> result;
  mkdir((options.root + "/tmux").c_str(), 0700);
  auto plan = plan_fleet(options);
  if (plan) {
    Generator generator(options, run, std::move(*plan));
    result = generator.start();
    if (result) {
      ready(generator.fleet());
      result = generator.keep_going();
    }
    auto ended = end_marked(options.root);
    if (result && !ended) result = ended;
    if (result && run.keep) result = generator.write_ended();
  } else {
    result = fail(plan.error());
  }
  if (!run.keep || !result) remove_files(options.root, root->second);
  return result;
}

Result<void> stop_fleet(const std::string& root, bool keep) {
  auto real = real_path(root);
  if (!real) return fail(real.error());
  const auto lock = FleetLock::open(*real, 0);
  if (!lock) return fail(lock.error());
  const auto [generator, made_root] = lock->owner();
  if (!lock->try_lock()) {
    // Somebody holds it, so it is the generator or its guard, which lets go of it as soon as it has cleaned up.
    if (const int fd = pidfd_open(generator, 0); fd >= 0) {
      if (lock->owner().first == generator) pidfd_send_signal(fd, SIGTERM, nullptr, 0);
      close(fd);
    }
    lock->lock();
  }
  if (auto ended = end_marked(*real); !ended) return ended;
  if (!keep) remove_files(*real, made_root);
  return {};
}

Result<void> guard_fleet(const std::string& root) {
  const auto lock = FleetLock::open(root, 0);
  if (!lock) return fail(lock.error());
  lock->lock();
  return end_marked(root);
}

Result<void> hold_sessions(const std::string& root) {
  const Descriptor signals = signals_as_descriptor({SIGTERM, SIGCHLD});
  std::map<Pid, std::string> panes;
  std::ifstream lines(root + "/sessions");
  const pid_t holder = getpid();
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    std::string spec;
    Micros::rep cpu_limit = 0;
    LoadOptions load;
    fields >> name >> spec >> load.seed >> cpu_limit >> std::ws;
    std::getline(fields, load.truth);
    const auto parsed = parse_load(spec);
    if (!parsed) return fail(parsed.error());
    load.spec = *parsed;
    if (cpu_limit > 0) load.cpu_limit = Micros{cpu_limit};
    const pid_t pid = fork();
    if (pid < 0) return fail("start session " + name + ": " + std::strerror(errno));
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != holder) _exit(EXIT_FAILURE);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      _exit(run_load(load) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    panes[pid] = name;
  }
  const auto write_panes = [&]() -> Result<void> {
    std::string text;
    for (const auto& [pid, name] : panes) {
      text += std::to_string(holder) + " " + std::to_string(pid) + " 0 " + name + "\n";
    }
    return replace_file(root + "/panes", text);
  };
  if (auto written = write_panes(); !written) return written;
  bool stopping = false;
  while (!panes.empty()) {
    readable(signals.fd, -1ms);
    signalfd_siginfo signal{};
    while (read(signals.fd, &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo != SIGTERM) continue;
      stopping = true;
      for (const auto& [pid, name] : panes) kill(pid, SIGTERM);
    }
    for (pid_t pid = 0; (pid = waitpid(-1, nullptr, WNOHANG)) > 0;) panes.erase(pid);
    if (stopping) continue;
    if (auto written = write_panes(); !written) return written;
  }
  return {};
}

}  // namespace fleetledger::fleet
