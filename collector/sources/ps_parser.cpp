#include "collector/sources/ps_parser.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace fleetledger {
namespace {

// Beyond these a number is rubbish rather than a time: 500 years, and as much CPU on 10,000 cores.
constexpr std::int64_t kMostElapsedSeconds = 500LL * 366 * 86'400;
constexpr std::int64_t kMostCpuSeconds = kMostElapsedSeconds * 10'000 / 60;
constexpr std::int64_t kMostResidentKib = std::int64_t{1} << 50U;
constexpr double kMostPercent = 10'000'000;
constexpr std::size_t kStateWidth = 4;  // of the column `stat`

/// Cuts one line into fields. Every reader returns nothing if the next field is not what it is asked for.
class Fields {
 public:
  explicit Fields(std::string_view line) : rest_(line) {}

  std::string_view word() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size()));
    const auto end = std::min(rest_.find(' '), rest_.size());
    const auto word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }

  std::optional<std::int64_t> number(std::int64_t most) { return whole(word(), most); }

  /// The rest of the line after a word of which ps prints at least `width` characters, filled up with spaces, and the
  /// one space between columns: so a name that starts with spaces keeps them.
  std::string_view after(std::string_view last_word, std::size_t width) const {
    const auto filling = std::max(width, last_word.size()) - last_word.size() + 1;
    return rest_.substr(std::min({filling, rest_.size(), rest_.find_first_not_of(' ')}));
  }

  static std::optional<std::int64_t> whole(std::string_view digits, std::int64_t most) {
    std::int64_t value = 0;
    const auto* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, value);
    if (digits.empty() || digits.front() == '-' || read.ec != std::errc{} || read.ptr != end || value > most) {
      return std::nullopt;
    }
    return value;
  }

 private:
  std::string_view rest_;
};

std::optional<double> percent(std::string_view digits) {
  double value = 0;
  const auto* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value, std::chars_format::fixed);
  if (digits.empty() || digits.front() < '0' || digits.front() > '9' || read.ec != std::errc{} || read.ptr != end ||
      value > kMostPercent) {
    return std::nullopt;
  }
  return value;
}

/// bsdtime: minutes and seconds, MMM:SS.
std::optional<Micros> minutes_seconds(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || text.size() - colon != 3) {
    return std::nullopt;
  }
  const auto minutes = Fields::whole(text.substr(0, colon), kMostCpuSeconds / 60);
  const auto seconds = Fields::whole(text.substr(colon + 1), 59);
  if (!minutes || !seconds) {
    return std::nullopt;
  }
  return std::chrono::minutes(*minutes) + std::chrono::seconds(*seconds);
}

/// [[dd-]hh:]mm:ss[.cc], and what macOS prints of long CPU times: mmm:ss.cc.
std::optional<Micros> days_to_hundredths(std::string_view text) {
  Micros total{0};
  if (const auto dash = text.find('-'); dash != std::string_view::npos) {
    const auto days = Fields::whole(text.substr(0, dash), kMostElapsedSeconds / 86'400);
    if (!days) {
      return std::nullopt;
    }
    total += std::chrono::hours(*days * 24);
    text.remove_prefix(dash + 1);
  }
  if (const auto dot = text.find('.'); dot != std::string_view::npos) {
    const auto hundredths = Fields::whole(text.substr(dot + 1), 99);
    if (!hundredths || text.size() - dot != 3) {
      return std::nullopt;
    }
    total += std::chrono::milliseconds(*hundredths * 10);
    text = text.substr(0, dot);
  }
  const auto last = text.rfind(':');
  if (last == std::string_view::npos || text.size() - last != 3) {
    return std::nullopt;
  }
  const auto seconds = Fields::whole(text.substr(last + 1), 59);
  text = text.substr(0, last);
  std::int64_t hours = 0;
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    const auto read = Fields::whole(text.substr(0, colon), kMostElapsedSeconds / 3'600);
    if (!read) {
      return std::nullopt;
    }
    hours = *read;
    text.remove_prefix(colon + 1);
  }
  const auto minutes = Fields::whole(text, kMostCpuSeconds / 60);
  if (!seconds || !minutes) {
    return std::nullopt;
  }
  return total + std::chrono::hours(hours) + std::chrono::minutes(*minutes) + std::chrono::seconds(*seconds);
}

/// What %cuu or %cuc says: a share rounded to 0.001 %. Above 99 % ps prints 99.999 for every share: `capped`.
struct Share {
  double low = 0;
  double high = 0;
  bool capped = false;
};

Share fine_share(double printed) {
  // The rounding is undone with a little to spare for the floating point of both sides.
  constexpr double kHalfStep = 0.000501;
  if (printed >= 99.9985) {
    return {.low = 0.99, .high = 0, .capped = true};
  }
  return {.low = std::max(0.0, printed - kHalfStep) / 100, .high = (printed + kHalfStep) / 100};
}

/// What %cpu says: cut off to 0.1 % below 100 %, to whole percents from there.
Share coarse_share(double printed) {
  const double step = printed < 100 ? 0.1 : 1;
  return {.low = std::max(0.0, printed - 1e-6) / 100, .high = (printed + step + 1e-6) / 100};
}

void read_state(std::string_view state, std::string_view name, PsRow& row) {
  constexpr std::string_view kDefunct = " <defunct>";
  row.zombie = state.front() == 'Z';
  if (row.zombie && name.size() >= kDefunct.size() && name.substr(name.size() - kDefunct.size()) == kDefunct) {
    name.remove_suffix(kDefunct.size());
  }
  row.name = ProcessName(name);
}

/// What every flavour prints first: pid, parent, uid.
bool read_identity(Fields& fields, PsRow& row) {
  const auto pid = fields.number(std::numeric_limits<Pid>::max());
  const auto parent = fields.number(std::numeric_limits<Pid>::max());
  const auto owner = fields.number(std::numeric_limits<Uid>::max());
  if (!pid || *pid == 0 || !parent || !owner) {
    return false;
  }
  row.pid = static_cast<Pid>(*pid);
  row.parent = static_cast<Pid>(*parent);
  row.owner = static_cast<Uid>(*owner);
  return true;
}

std::optional<PsRow> parse_linux_row(std::string_view line) {
  Fields fields(line);
  PsRow row;
  if (!read_identity(fields, row)) {
    return std::nullopt;
  }
  const auto elapsed = fields.number(kMostElapsedSeconds);
  const auto own = fields.number(kMostCpuSeconds);
  const auto with_reaped = minutes_seconds(fields.word());
  const auto own_percent = percent(fields.word());
  const auto reaped_percent = percent(fields.word());
  const auto coarse_percent = percent(fields.word());
  const auto resident = fields.number(kMostResidentKib);
  const auto state = fields.word();
  if (!elapsed || !own || !with_reaped || !own_percent || !reaped_percent || !coarse_percent || !resident ||
      state.empty()) {
    return std::nullopt;
  }
  row.elapsed = std::chrono::seconds(*elapsed);
  const auto own_share = fine_share(*own_percent);
  row.own = {.at_least = std::chrono::seconds(*own), .share_low = own_share.low, .share_high = own_share.high};
  auto reaped_share = fine_share(*reaped_percent);
  if (reaped_share.capped) {
    reaped_share = coarse_share(*coarse_percent);
  }
  row.with_reaped = {.at_least = *with_reaped, .share_low = reaped_share.low, .share_high = reaped_share.high};
  row.resident = Bytes{*resident * 1024};
  read_state(state, fields.after(state, kStateWidth), row);
  return row;
}

std::optional<PsRow> parse_macos_row(std::string_view line) {
  Fields fields(line);
  PsRow row;
  if (!read_identity(fields, row)) {
    return std::nullopt;
  }
  const auto elapsed = days_to_hundredths(fields.word());
  const auto time = days_to_hundredths(fields.word());
  const auto resident = fields.number(kMostResidentKib);
  const auto state = fields.word();
  if (!elapsed || *elapsed > std::chrono::seconds(kMostElapsedSeconds) || !time || !resident || state.empty()) {
    return std::nullopt;
  }
  row.elapsed = *elapsed;
  row.own.at_least = row.with_reaped.at_least = *time;
  row.resident = Bytes{*resident * 1024};
  read_state(state, fields.after(state, kStateWidth), row);
  return row;
}

Result<std::vector<PsRow>> parse_rows(std::string_view output, std::optional<PsRow> (*parse)(std::string_view)) {
  std::vector<PsRow> rows;
  rows.reserve(static_cast<std::size_t>(std::count(output.begin(), output.end(), '\n')));
  while (!output.empty()) {
    const auto end = output.find('\n');
    if (end == std::string_view::npos) {
      return fail("read the output of ps: it breaks off in line " + std::to_string(rows.size() + 1));
    }
    const auto row = parse(output.substr(0, end));
    if (!row) {
      return fail("read the output of ps: line " + std::to_string(rows.size() + 1) + " is not what was asked for");
    }
    rows.push_back(*row);
    output.remove_prefix(end + 1);
  }
  if (rows.empty()) {
    return fail("read the output of ps: it is empty");
  }
  return rows;
}

}  // namespace

std::vector<std::string> linux_ps_arguments() {
  return {"S", "-A", "-o", "pid=,ppid=,uid=,etimes=,cputimes=,bsdtime=,cuu=,cuc=,pcpu=,rss=,stat=,comm="};
}

Result<std::vector<PsRow>> parse_linux_ps(std::string_view output) { return parse_rows(output, parse_linux_row); }

std::vector<std::string> macos_ps_arguments(MacosTimes times) {
  std::vector<std::string> arguments{"-A", "-o", "pid=,ppid=,uid=,etime=,time=,rss=,state=,ucomm="};
  if (times == MacosTimes::with_reaped) {
    arguments.insert(arguments.begin(), "-S");
  }
  return arguments;
}

Result<std::vector<PsRow>> parse_macos_ps(std::string_view output) { return parse_rows(output, parse_macos_row); }

std::vector<PsRow> merge_macos_ps(std::vector<PsRow> own, std::vector<PsRow> with_reaped) {
  constexpr Micros kSameProcess = std::chrono::seconds(2);
  const auto by_pid = [](const PsRow& left, const PsRow& right) { return left.pid < right.pid; };
  std::sort(with_reaped.begin(), with_reaped.end(), by_pid);
  for (auto& row : own) {
    const auto other = std::lower_bound(with_reaped.begin(), with_reaped.end(), row, by_pid);
    if (other != with_reaped.end() && other->pid == row.pid && other->parent == row.parent &&
        std::chrono::abs(other->elapsed - row.elapsed) <= kSameProcess) {
      row.with_reaped.at_least = std::max(row.own.at_least, other->with_reaped.at_least);
    }
  }
  return own;
}

}  // namespace fleetledger
