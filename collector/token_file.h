#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/secret.h"
#include "core/result.h"

namespace fleetledger {

struct FileToken {
  Secret secret;
  bool made = false;  ///< just now
};

/// Reads a token from a file of ours of mode 0600. Nothing if there is no file. Fails if the file is a link or no
/// regular file, is somebody else's, lets others read or write it, or does not hold one line of 16 to 256 printable
/// characters. The error names the file and what it is ("the operator's token"), and never what is in it.
[[nodiscard]] Result<std::optional<Secret>> read_token_file(const std::string& path, std::string_view what);

/// The same; makes the file, with 256 random bits as hexadecimal digits, if there is none. Its folder exists. Whenever
/// that is broken off, there is no file or a whole one; `path` + ".new" is ours too, and may be left behind.
[[nodiscard]] Result<FileToken> open_token_file(const std::string& path, std::string_view what);

}  // namespace fleetledger
