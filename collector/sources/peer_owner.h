#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/process.h"
#include "core/result.h"
#include "core/units.h"

namespace fleetledger {

/// Proves whose the other end of a connected socket is, before something is said that only that process may hear:
/// success means that a process of our user, `owner` or a descendant of it, holds the other end. Otherwise an Error
/// that says why this is not known: it is another's, the connection does not stay on this host, the owner has not
/// taken it by `deadline`, or the system does not tell (macOS).
///
/// A pid alone can have been used again: who knows more of the process than its pid asks is_still() afterwards.
///
/// TCP on loopback, from /proc/net/tcp and tcp6 (proc_pid_net(5): addresses, uid, inode) and /proc/PID/fd; Unix sockets
/// from SO_PEERCRED. Blocks: to be called in the pool.
[[nodiscard]] Result<void> prove_peer_owner(int socket, Pid owner, MonotonicTime deadline);

/// Proves that whoever connects to this TCP address ("127.0.0.1:4100") comes to a socket of our user with one of these
/// inodes, and to no other: success means that all sockets that listen at its port are such. For processes whose
/// descriptors nobody may look at. To be asked before connecting and again on the connected socket: then the one that
/// was there all the while has taken the connection. From /proc/net/tcp and tcp6; an Error where there is none.
[[nodiscard]] Result<void> prove_listener(const std::string& address, std::span<const std::uint64_t> inodes);

/// The process that runs now under this pid, if it is our user's; nothing if there is none, or no /proc.
[[nodiscard]] std::optional<ProcessKey> running_process(Pid pid);

/// Whether the process that runs now under this pid is this one: its start, from /proc/PID/stat, is off by no more than
/// the slack. Never where there is no /proc.
[[nodiscard]] bool is_still(const ProcessKey& process, Micros start_slack);

}  // namespace fleetledger
