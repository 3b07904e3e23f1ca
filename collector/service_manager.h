#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/units.h"

namespace fleetledger {

/// The service manager that started us, told how we are: systemd, or whoever else speaks sd_notify(3)'s protocol, ten
/// lines that need no library. Where none did, nothing is told. Nothing here fails or waits: what the manager does not
/// take at once is not told. One thread.
class ServiceManager {
 public:
  /// Nobody.
  ServiceManager() = default;
  ~ServiceManager();
  ServiceManager(ServiceManager&& other) noexcept;
  ServiceManager& operator=(ServiceManager&& other) noexcept;

  /// What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say. They are taken out of the environment: what we start has
  /// nothing to tell. To be called while there is one thread.
  [[nodiscard]] static ServiceManager from_environment();

  /// How long it waits for alive() before it takes us for hung; nothing if it does not, or does for another process.
  [[nodiscard]] std::optional<Micros> watchdog() const { return watchdog_; }

  /// The start is not over yet and may take so much longer.
  void starting(Micros more);
  /// The start is over; again at the end of a reload. Only the first call and those after reloading() are told.
  void ready();
  /// Whether ready() was called.
  [[nodiscard]] bool is_ready() const { return ready_; }
  /// The configuration is being read again, until ready(). Nothing before the start is over.
  void reloading(MonotonicTime now);
  void stopping();
  void alive();
  /// One line for people. Told when it is another than the last.
  void status(std::string_view text);

 private:
  void tell(std::string_view message) const;

  int socket_ = -1;
  sockaddr_un manager_{};
  socklen_t manager_size_ = 0;
  std::optional<Micros> watchdog_;
  std::string status_;
  bool ready_ = false;
  bool reloading_ = false;
};

}  // namespace fleetledger
