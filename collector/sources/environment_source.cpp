#include "collector/sources/environment_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "collector/sources/descriptor.h"
#include "collector/sources/proc_stat.h"

namespace fleetledger {
namespace {

/// As long as Linux lets a single argument or variable be; all of a usual environment is a twentieth of it.
constexpr std::size_t kLongestEnvironment = std::size_t{128} * 1024;
constexpr std::size_t kLongestValue = PATH_MAX;

void forget(char* bytes, std::size_t size) {
#ifdef __linux__
  ::explicit_bzero(bytes, size);
#else
  std::memset(bytes, 0, size);
#endif
}

/// Reads until the end or until the buffer is full; how much.
std::size_t read_file(int folder, const char* name, std::span<char> buffer) {
  const Descriptor file(::openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  std::size_t size = 0;
  while (file.open() && size < buffer.size()) {
    const auto got = ::read(file.get(), buffer.data() + size, buffer.size() - size);
    if (got > 0) {
      size += static_cast<std::size_t>(got);
    } else if (got == 0 || errno != EINTR) {
      break;
    }
  }
  return size;
}

class ProcEnvironments final : public EnvironmentSource {
 public:
  ProcEnvironments(Uid user, std::string root) : user_(user), root_(std::move(root)), buffer_(kLongestEnvironment) {}

  std::vector<DeclaredProcess> read(std::span<const ProcessKey> processes, Micros start_slack) override {
    std::vector<DeclaredProcess> declared;
    for (const auto& process : processes) {
      if (auto says = read_one(process, start_slack); !says.empty()) {
        declared.push_back({process, std::move(says)});
      }
    }
    return declared;
  }

 private:
  [[nodiscard]] Declaration read_one(const ProcessKey& process, Micros start_slack) {
    // What is below an open folder stays this process's, also when its pid is used again.
    const auto path = root_ + '/' + std::to_string(process.pid);
    const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    struct stat about {};
    if (!folder.open() || ::fstat(folder.get(), &about) != 0 || about.st_uid != user_ ||
        !started(folder.get(), process, start_slack)) {
      return {};
    }
    const auto size = read_file(folder.get(), "environ", buffer_);
    auto says = parse_environment({buffer_.data(), size});
    forget(buffer_.data(), size);
    return says;
  }

  /// Whether it is the process that is meant.
  [[nodiscard]] bool started(int folder, const ProcessKey& process, Micros slack) const {
    std::array<char, 2048> text{};
    const auto stat = parse_proc_stat({text.data(), read_file(folder, "stat", text)});
    if (!stat || stat->pid != process.pid) {
      return false;
    }
    const BootTime start{ticks_to_micros(stat->start_ticks)};
    return std::chrono::abs(start - process.start) <= slack;
  }

  Uid user_;
  std::string root_;
  std::vector<char> buffer_;
};

}  // namespace

Declaration parse_environment(std::string_view environment) {
  Declaration says;
  const std::array<std::pair<std::string_view, std::string*>, 3> wanted{{{"INSTAR_AGENT_HOME=", &says.agent_home},
                                                                         {"INSTAR_AGENT_ID=", &says.agent_id},
                                                                         {"INSTAR_SESSION_ID=", &says.session_id}}};
  std::array<bool, wanted.size()> seen{};
  for (auto end = environment.find('\0'); end != std::string_view::npos; end = environment.find('\0')) {
    const auto variable = environment.substr(0, end);
    environment.remove_prefix(end + 1);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const auto& [name, into] = wanted[i];
      if (variable.starts_with(name) && !std::exchange(seen[i], true) &&
          variable.size() - name.size() <= kLongestValue) {
        *into = variable.substr(name.size());
      }
    }
  }
  return says;
}

std::unique_ptr<EnvironmentSource> make_environment_source(Uid user, const std::string& root) {
  if (::access(root.c_str(), X_OK) != 0) {
    return nullptr;
  }
  return std::make_unique<ProcEnvironments>(user, root);
}

}  // namespace fleetledger
