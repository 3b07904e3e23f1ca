#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string_view>

#include "core/units.h"

namespace fleetledger {

using Pid = std::int32_t;
using Uid = std::uint32_t;

/// Identity of a process: pids are used again, a pid together with its start is not.
/// Sources of readings give the same process exactly the same key at every look.
struct ProcessKey {
  Pid pid = 0;
  BootTime start{};

  friend constexpr auto operator<=>(const ProcessKey&, const ProcessKey&) = default;
};

/// A process's short name (Linux `comm`: at most 15 bytes), kept without an allocation. Any byte may occur in it.
class ProcessName {
 public:
  constexpr ProcessName() = default;
  explicit ProcessName(std::string_view name) : size_(static_cast<std::uint8_t>(std::min(name.size(), bytes_.size()))) {
    std::copy_n(name.data(), size_, bytes_.data());
  }

  [[nodiscard]] std::string_view view() const { return {bytes_.data(), size_}; }
  friend bool operator==(const ProcessName& left, const ProcessName& right) { return left.view() == right.view(); }

 private:
  std::array<char, 15> bytes_{};
  std::uint8_t size_ = 0;
};

/// What one look says of one process. Totals are since its start.
struct ProcessReading {
  ProcessKey key;
  Pid parent = 0;
  Uid owner = 0;
  CpuTotal own;          ///< its own CPU time
  CpuTotal with_reaped;  ///< own, and that of the children it has waited for
  Micros own_doubt{};    ///< by how much more `own` may be too small than the table's resolution says
  Micros doubt{};        ///< likewise `with_reaped`
  Bytes resident;        ///< 0 for a zombie
  bool zombie = false;
  ProcessName name;
};

}  // namespace fleetledger

template <>
struct std::hash<fleetledger::ProcessKey> {
  std::size_t operator()(const fleetledger::ProcessKey& key) const noexcept {
    const auto start = static_cast<std::uint64_t>(key.start.time_since_epoch().count());
    return static_cast<std::size_t>((start ^ (static_cast<std::uint64_t>(key.pid) << 40U)) * 0x9E3779B97F4A7C15ULL);
  }
};
