#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/units.h"

namespace fleetledger {

/// Ids of events that are the same whenever the same line is read again. Lines that are the same in all bytes are told
/// apart by how many of them came before, as long as few enough others came between them.
class LineIds {
 public:
  static constexpr std::size_t kRemembered = 24;  ///< different lines

  LineIds() = default;
  /// From what memory() said; what makes no sense in it is left out.
  explicit LineIds(std::string_view memory);

  [[nodiscard]] std::string next(WallTime ts, std::string_view line);
  [[nodiscard]] std::string memory() const;  ///< below 1000 bytes

 private:
  struct Line {
    std::uint64_t hash = 0;
    std::uint32_t count = 0;  ///< how often it was met
  };
  std::vector<Line> lines_;  ///< the one that was met last comes last
};

}  // namespace fleetledger
