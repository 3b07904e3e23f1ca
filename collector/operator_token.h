#pragma once

#include <string>

#include "config/secret.h"
#include "core/result.h"

namespace fleetledger {

struct OperatorToken {
  Secret secret;
  bool made = false;  ///< just now
};

/// Reads the operator's token from a file of ours of mode 0600; makes the file, with 256 random bits as hexadecimal
/// digits, if there is none. Its folder exists. Fails if the file is a link or no regular file, is somebody else's,
/// lets others read or write it, or does not hold one line of 16 to 256 printable characters. The error names the file
/// and never what is in it.
[[nodiscard]] Result<OperatorToken> open_operator_token(const std::string& path);

}  // namespace fleetledger
