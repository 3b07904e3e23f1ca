#pragma once

#include <string>
#include <string_view>

#include "collector/http/message.h"

namespace fleetledger {

/// A file that is part of the program. What the views show lives as long as the program.
struct StaticFile {
  std::string_view content_type;
  std::string_view bytes;
  std::string etag;  ///< in double quotes; differs when the bytes do
};

/// With the ETag made from the bytes.
[[nodiscard]] StaticFile make_static_file(std::string_view content_type, std::string_view bytes);

/// 200 with the file, or 304 if `If-None-Match` says that the client has it.
[[nodiscard]] Response answer_with(const StaticFile& file, const Request& request);

}  // namespace fleetledger
