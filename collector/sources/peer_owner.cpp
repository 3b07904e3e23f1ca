#include "collector/sources/peer_owner.h"

#ifdef __linux__

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sstream>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include "collector/clock.h"
#include "collector/sources/net_table.h"
#include "collector/sources/proc_stat.h"

namespace fleetledger {
namespace {

constexpr int kPauseMs = 2;
/// An accepted socket has its inode a moment before it is among the owner's descriptors.
constexpr int kLooks = 3;

struct Socket {
  std::uint64_t inode = 0;  ///< 0: nobody has accepted it yet
  Uid owner = 0;
};

/// An end of a connection as /proc/net/tcp writes it: the address as words in the machine's order, then the port.
std::string hex(const void* address, std::size_t words, std::uint16_t network_port) {
  std::array<std::uint32_t, 4> parts{};
  std::memcpy(parts.data(), address, words * sizeof(std::uint32_t));
  std::array<char, 9> text{};
  std::string written;
  for (std::size_t i = 0; i < words; ++i) {
    std::snprintf(text.data(), text.size(), "%08X", parts.at(i));
    written += text.data();
  }
  std::snprintf(text.data(), text.size(), ":%04X", static_cast<unsigned>(ntohs(network_port)));
  return written + text.data();
}

struct End {
  std::string tcp;   ///< empty for IPv6
  std::string tcp6;  ///< of IPv4 as a socket for both shows it
};

std::optional<End> end_of(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    const auto& name = reinterpret_cast<const sockaddr_in&>(storage);
    if ((ntohl(name.sin_addr.s_addr) >> 24U) != 127) {
      return std::nullopt;
    }
    std::array<unsigned char, 16> mapped{};
    mapped[10] = mapped[11] = 0xFF;
    std::memcpy(&mapped[12], &name.sin_addr, sizeof name.sin_addr);
    return End{hex(&name.sin_addr, 1, name.sin_port), hex(mapped.data(), 4, name.sin_port)};
  }
  const auto& name = reinterpret_cast<const sockaddr_in6&>(storage);
  if (storage.ss_family != AF_INET6 || !IN6_IS_ADDR_LOOPBACK(&name.sin6_addr)) {
    return std::nullopt;
  }
  return End{"", hex(&name.sin6_addr, 4, name.sin6_port)};
}

std::optional<Socket> find_socket(const char* table, const std::string& local, const std::string& remote) {
  std::ifstream file(table);
  std::string line;
  while (!local.empty() && std::getline(file, line)) {
    const auto found = parse_net_socket(line);
    if (found && found->local == local && found->remote == remote) {
      return Socket{found->inode, found->owner};
    }
  }
  return std::nullopt;
}

/// The sockets that listen, with their ports.
std::vector<std::pair<Socket, unsigned>> listening_sockets(const char* table) {
  constexpr std::string_view kListening = "0A";
  std::vector<std::pair<Socket, unsigned>> sockets;
  std::ifstream file(table);
  std::string line;
  while (std::getline(file, line)) {
    if (const auto found = parse_net_socket(line); found && found->state == kListening) {
      const auto digits = found->local.substr(found->local.find(':') + 1);
      unsigned port = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), port, 16);
      sockets.emplace_back(Socket{found->inode, found->owner}, port);
    }
  }
  return sockets;
}

/// The names in a folder that are numbers.
template <typename Visit>
void for_each_number(const std::string& folder, Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(folder.c_str()), closedir);
  while (const auto* entry = entries ? readdir(entries.get()) : nullptr) {
    const std::string_view name(entry->d_name);
    Pid number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size() && visit(number)) {
      return;
    }
  }
}

bool holds(Pid pid, std::uint64_t inode) {
  const auto folder = "/proc/" + std::to_string(pid);
  struct stat found {};
  if (stat(folder.c_str(), &found) != 0 || found.st_uid != geteuid()) {
    return false;
  }
  const auto wanted = "socket:[" + std::to_string(inode) + "]";
  bool held = false;
  for_each_number(folder + "/fd", [&](int descriptor) {
    std::array<char, 64> target{};
    const auto size = readlink((folder + "/fd/" + std::to_string(descriptor)).c_str(), target.data(), target.size());
    held = size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)) == wanted;
    return held;
  });
  return held;
}

std::optional<ProcStat> stat_of(Pid pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::ostringstream text;
  text << file.rdbuf();
  return parse_proc_stat(text.str());
}

/// Each process and its parent.
std::unordered_map<Pid, Pid> parents() {
  std::unordered_map<Pid, Pid> all;
  for_each_number("/proc", [&](Pid pid) {
    if (const auto stat = stat_of(pid)) {
      all.emplace(pid, stat->parent);
    }
    return false;
  });
  return all;
}

bool descends(const std::unordered_map<Pid, Pid>& parents, Pid pid, Pid from) {
  // The table is no snapshot: it could hold a circle.
  for (std::size_t steps = 0; steps <= parents.size(); ++steps) {
    if (pid == from) {
      return true;
    }
    const auto parent = parents.find(pid);
    if (parent == parents.end()) {
      return false;
    }
    pid = parent->second;
  }
  return false;
}

bool family_holds(Pid owner, std::uint64_t inode) {
  if (holds(owner, inode)) {
    return true;
  }
  if (owner <= 1) {
    return false;  // everybody descends from there
  }
  const auto family = parents();
  for (const auto& [pid, parent] : family) {
    if (pid != owner && descends(family, pid, owner) && holds(pid, inode)) {
      return true;
    }
  }
  return false;
}

Result<void> prove_unix(int socket, Pid owner) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) {
    return fail("who listens there is another user");
  }
  if (peer.pid != owner && (owner <= 1 || !descends(parents(), peer.pid, owner))) {
    return fail("who listens there is another process");
  }
  return {};
}

}  // namespace

Result<void> prove_peer_owner(int socket, Pid owner, MonotonicTime deadline) {
  sockaddr_storage ours{};
  sockaddr_storage theirs{};
  socklen_t our_size = sizeof ours;
  socklen_t their_size = sizeof theirs;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&ours), &our_size) != 0 ||
      getpeername(socket, reinterpret_cast<sockaddr*>(&theirs), &their_size) != 0) {
    return fail("it is not connected");
  }
  if (ours.ss_family == AF_UNIX) {
    return prove_unix(socket, owner);
  }
  const auto here = end_of(ours);
  const auto there = end_of(theirs);
  if (!here || !there) {
    return fail("the connection is not on loopback");
  }
  constexpr const char* kAnother = "who listens there is another process";
  for (int looks = 0;;) {
    auto peer = find_socket("/proc/net/tcp", there->tcp, here->tcp);
    if (!peer) {
      peer = find_socket("/proc/net/tcp6", there->tcp6, here->tcp6);
    }
    if (peer && peer->inode != 0) {
      if (peer->owner != geteuid()) {
        return fail("who listens there is another user");
      }
      if (family_holds(owner, peer->inode)) {
        return {};
      }
      if (++looks == kLooks) {
        return fail(kAnother);
      }
    }
    if (system_clock().monotonic() >= deadline) {
      return fail(looks > 0 ? kAnother : "who listens there has not taken the connection in time");
    }
    poll(nullptr, 0, kPauseMs);
  }
}

Result<void> prove_listener(const std::string& address, std::span<const std::uint64_t> inodes) {
  unsigned port = 0;  // which nobody listens at, where the address has none
  if (const auto colon = address.rfind(':'); colon != std::string::npos) {
    std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  }
  std::size_t proven = 0;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    for (const auto& [socket, at] : listening_sockets(table)) {
      if (at != port) {
        continue;
      }
      if (socket.owner != geteuid()) {
        return fail("who listens there is another user");
      }
      if (std::find(inodes.begin(), inodes.end(), socket.inode) == inodes.end()) {
        return fail("who listens there is another process");
      }
      ++proven;
    }
  }
  return proven > 0 ? Result<void>{} : fail("nobody listens there", Error::Kind::unavailable);
}

std::optional<ProcessKey> running_process(Pid pid) {
  struct stat found {};
  const auto stat_line = stat_of(pid);
  if (!stat_line || ::stat(("/proc/" + std::to_string(pid)).c_str(), &found) != 0 || found.st_uid != geteuid()) {
    return std::nullopt;
  }
  return ProcessKey{pid, BootTime{ticks_to_micros(stat_line->start_ticks)}};
}

bool is_still(const ProcessKey& process, Micros start_slack) {
  const auto stat = stat_of(process.pid);
  return stat && std::chrono::abs(BootTime{ticks_to_micros(stat->start_ticks)} - process.start) <= start_slack;
}

}  // namespace fleetledger

#else

namespace fleetledger {

Result<void> prove_peer_owner(int /*socket*/, Pid /*owner*/, MonotonicTime /*deadline*/) {
  return fail("this system does not tell who listens there");
}

Result<void> prove_listener(const std::string& /*address*/, std::span<const std::uint64_t> /*inodes*/) {
  return fail("this system does not tell who listens there");
}

std::optional<ProcessKey> running_process(Pid /*pid*/) { return std::nullopt; }

bool is_still(const ProcessKey& /*process*/, Micros /*start_slack*/) { return false; }

}  // namespace fleetledger

#endif
