#pragma once

#include <string>
#include <string_view>

#include "core/process.h"
#include "core/result.h"

namespace fleetledger {

/// The only folders in which a program given by name is looked for, in this order.
inline constexpr std::string_view kProgramPath = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/opt/homebrew/bin";

/// The absolute path of a program that our operator configured: an absolute path as it is, a name (without '/') looked
/// up in kProgramPath. Fails if there is no regular file that we may execute. Reads the file system; any thread.
[[nodiscard]] Result<std::string> find_program(std::string_view name_or_path);

/// The real path of a program that somebody else suggested, if it can be trusted: an absolute path to a regular file
/// that we may execute, where the file and every folder above it, and whatever links lead there, belong to root or to
/// `user` and cannot be written by others. Otherwise why not. Reads the file system; any thread.
[[nodiscard]] Result<std::string> trusted_program(std::string_view path, Uid user);

}  // namespace fleetledger
