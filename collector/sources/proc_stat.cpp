#include "collector/sources/proc_stat.h"

#include <algorithm>
#include <charconv>
#include <unistd.h>

namespace fleetledger {
namespace {

/// Walks over the numbers that follow the name; each starts after one space.
class Numbers {
 public:
  explicit Numbers(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  template <typename Number>
  bool read(Number& value) {
    if (at_ == end_ || *at_ != ' ') {
      return false;
    }
    const auto read = std::from_chars(at_ + 1, end_, value);
    at_ = read.ptr;
    return read.ec == std::errc{} && (at_ == end_ || *at_ == ' ' || *at_ == '\n');
  }

  bool skip(int count) {
    for (; count > 0; --count) {
      if (at_ == end_ || *at_ != ' ') {
        return false;
      }
      for (++at_; at_ != end_ && *at_ != ' '; ++at_) {
      }
    }
    return true;
  }

  /// Is the number just read followed by another? So that one that is cut short is not taken for whole.
  [[nodiscard]] bool more() const { return at_ != end_ && *at_ == ' '; }

 private:
  const char* at_;
  const char* end_;
};

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view line) {
  const auto open = line.find('(');
  const auto close = line.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || open < 2 ||
      line.size() < close + 4) {
    return std::nullopt;
  }
  ProcStat stat;
  const auto pid = std::from_chars(line.data(), line.data() + open - 1, stat.pid);
  if (pid.ec != std::errc{} || pid.ptr != line.data() + open - 1 || *pid.ptr != ' ' || stat.pid <= 0) {
    return std::nullopt;
  }
  stat.name = ProcessName(line.substr(open + 1, close - open - 1));
  stat.state = line[close + 2];
  if ((stat.state < 'A' || stat.state > 'Z') && (stat.state < 'a' || stat.state > 'z')) {
    return std::nullopt;
  }

  Numbers numbers(line.substr(close + 3));  // after the state, which is field 3
  std::int64_t user = 0;
  std::int64_t system = 0;
  std::int64_t reaped_user = 0;
  std::int64_t reaped_system = 0;
  const bool whole = line[close + 1] == ' ' && numbers.read(stat.parent) && numbers.skip(9) && numbers.read(user) &&
                     numbers.read(system) && numbers.read(reaped_user) && numbers.read(reaped_system) &&
                     numbers.skip(4) && numbers.read(stat.start_ticks) && numbers.skip(1) &&
                     numbers.read(stat.resident_pages) && numbers.more();
  constexpr std::int64_t kMost = std::int64_t{1} << 46U;  // some 20,000 years of ticks: more is rubbish
  for (const auto value : {user, system, reaped_user, reaped_system, stat.start_ticks, stat.resident_pages}) {
    if (value < 0 || value > kMost) {
      return std::nullopt;
    }
  }
  if (!whole || stat.parent < 0) {
    return std::nullopt;
  }
  stat.own_ticks = user + system;
  stat.reaped_ticks = reaped_user + reaped_system;
  return stat;
}

Micros ticks_to_micros(std::int64_t ticks) {
  static const std::int64_t kPerSecond = std::max(::sysconf(_SC_CLK_TCK), 1L);
  return Micros{ticks / kPerSecond * 1'000'000 + ticks % kPerSecond * 1'000'000 / kPerSecond};
}

}  // namespace fleetledger
