#include "collector/service_manager.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

namespace fleetledger {
namespace {

/// The variable's value, which is then gone; empty: there was none.
std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string taken = value == nullptr ? "" : value;
  unsetenv(name);
  return taken;
}

/// A number above zero, or nothing.
std::optional<std::int64_t> number(std::string_view digits) {
  std::int64_t value = 0;
  const auto* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, value);
  return error == std::errc() && at == end && value > 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  const auto path = take_variable("NOTIFY_SOCKET");
  const auto watchdog = number(take_variable("WATCHDOG_USEC"));
  const auto watched = take_variable("WATCHDOG_PID");
  // A path, or with '@' for NUL a name in the abstract namespace.
  if (path.size() < 2 || (path[0] != '/' && path[0] != '@') || path.size() > sizeof manager.manager_.sun_path) {
    return manager;
  }
  manager.manager_.sun_family = AF_UNIX;
  path.copy(manager.manager_.sun_path, path.size());
  if (path[0] == '@') {
    manager.manager_.sun_path[0] = '\0';
  }
  manager.manager_size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  manager.socket_ = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  if (manager.socket_ >= 0) {
    fcntl(manager.socket_, F_SETFD, FD_CLOEXEC);
    fcntl(manager.socket_, F_SETFL, O_NONBLOCK);
    if (watchdog && (watched.empty() || number(watched) == getpid())) {
      manager.watchdog_ = Micros{*watchdog};
    }
  }
  return manager;
}

ServiceManager::~ServiceManager() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

ServiceManager::ServiceManager(ServiceManager&& other) noexcept { *this = std::move(other); }

ServiceManager& ServiceManager::operator=(ServiceManager&& other) noexcept {
  std::swap(socket_, other.socket_);
  manager_ = other.manager_;
  manager_size_ = other.manager_size_;
  watchdog_ = other.watchdog_;
  status_ = std::move(other.status_);
  ready_ = other.ready_;
  reloading_ = other.reloading_;
  return *this;
}

void ServiceManager::starting(Micros more) {
  if (!ready_) {
    tell("EXTEND_TIMEOUT_USEC=" + std::to_string(more.count()));
  }
}

void ServiceManager::ready() {
  if (!std::exchange(ready_, true) || std::exchange(reloading_, false)) {
    tell("READY=1");
  }
}

void ServiceManager::reloading(MonotonicTime now) {
  if (ready_) {
    reloading_ = true;
    // Without the time systemd takes the READY that follows for the one of before.
    tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.time_since_epoch().count()));
  }
}

void ServiceManager::stopping() { tell("STOPPING=1\nSTATUS=stopping"); }

void ServiceManager::alive() { tell("WATCHDOG=1"); }

void ServiceManager::status(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
  if (line != status_) {
    status_ = std::move(line);
    tell("STATUS=" + status_);
  }
}

void ServiceManager::tell(std::string_view message) const {
  if (socket_ >= 0) {
    static_cast<void>(::sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL,
                               reinterpret_cast<const sockaddr*>(&manager_), manager_size_));
  }
}

}  // namespace fleetledger
