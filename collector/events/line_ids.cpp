#include "collector/events/line_ids.h"

#include <algorithm>
#include <charconv>

#include "core/fnv.h"
#include "core/sample.h"

namespace fleetledger {
namespace {

constexpr int kHex = 16;
constexpr std::uint32_t kMostCounted = 999'999'999;

template <typename Number>
std::string text_of(Number number, int base) {
  std::string text(24, '\0');
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, base).ptr;
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}

/// A whole number that JavaScript keeps exactly.
std::uint64_t fold(std::uint64_t hash) {
  constexpr unsigned kBits = 53;
  return (hash >> kBits) ^ (hash & ((std::uint64_t{1} << kBits) - 1));
}

}  // namespace

LineIds::LineIds(std::string_view memory) {
  while (!memory.empty() && lines_.size() < kRemembered) {
    const auto entry = memory.substr(0, memory.find(' '));
    memory.remove_prefix(std::min(entry.size() + 1, memory.size()));
    Line line;
    const char* end = entry.data() + entry.size();
    const auto hash = std::from_chars(entry.data(), end, line.hash, kHex);
    if (hash.ec != std::errc() || hash.ptr == end || *hash.ptr != '=') continue;
    const auto count = std::from_chars(hash.ptr + 1, end, line.count);
    if (count.ec == std::errc() && count.ptr == end) lines_.push_back(line);
  }
}

std::string LineIds::next(WallTime ts, std::string_view line) {
  const std::uint64_t hash = fnv1a(line);
  auto known = std::find_if(lines_.begin(), lines_.end(), [hash](const Line& met) { return met.hash == hash; });
  if (known == lines_.end()) {
    if (lines_.size() == kRemembered) lines_.erase(lines_.begin());
    lines_.push_back({hash, 0});
  } else {
    std::rotate(known, known + 1, lines_.end());
  }
  auto& count = lines_.back().count;
  const std::uint64_t number = count == 0 ? hash : fnv1a('#' + std::to_string(count), hash);
  count = std::min(count + 1, kMostCounted);
  return std::string(kSentinelEvents) + ':' + std::to_string(ts.time_since_epoch().count()) + ':' +
         std::to_string(fold(number));
}

std::string LineIds::memory() const {
  std::string memory;
  for (const Line& line : lines_) {
    if (!memory.empty()) memory += ' ';
    memory += text_of(line.hash, kHex) + '=' + text_of(line.count, 10);
  }
  return memory;
}

}  // namespace fleetledger
