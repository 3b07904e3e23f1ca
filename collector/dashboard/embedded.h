#pragma once

#include <span>
#include <string_view>

namespace fleetledger {

struct EmbeddedFile {
  std::string_view name;  ///< without its folder
  std::string_view bytes;
};

/// What the build put into the program (embed.cmake).
[[nodiscard]] std::span<const EmbeddedFile> embedded_files();

}  // namespace fleetledger
